// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of a process' page tables could be freed
 *
 * VmPTE says how many tables a process has, of all levels. A table of the lowest
 * level maps a slot of 2 MiB. The ioctl PAGEMAP_SCAN finds the first page at or
 * behind an address that has an entry, so one call a slot counts the tables in
 * use, and no entry behind the first one is looked at. The rest of VmPTE is
 * empty tables, and upper-level tables with nothing in use below them; which of
 * the two cannot be seen from outside. So there are two bounds:
 *
 *  - at most: as few upper-level tables as can hold the rest;
 *  - at least: an upper-level table for every GiB that is mapped somewhere, and
 *    no table that has a part in mappings of which the kernel frees none.
 *
 * They differ by 4 KiB a GiB of mapped address space.
 *
 * x86_64 and other machines with 4 KiB pages and tables. With other pages, or
 * before Linux 6.7, or without the right to look, there is only a guess: a
 * process needs at least the tables that its memory fits in.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ptfree.h"

/* The headers of Debian 12 are those of Linux 6.1. */
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN		_IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_FILE		(1 << 2)
#define PAGE_IS_PRESENT		(1 << 3)
#define PAGE_IS_SWAPPED		(1 << 4)
#define PAGE_IS_HUGE		(1 << 6)

struct page_region {
	__u64 start, end, categories;
};

struct pm_scan_arg {
	__u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
	__u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
#endif

#define SLOT_SHIFT	21
#define SLOT		(1ULL << SLOT_SHIFT)
#define PMD_SHIFT	30		/* what a table of the second level maps */
#define PUD_SHIFT	39
#define PER_TABLE	512

struct vma {
	uint64_t start, end;
	bool hugetlb, stays;
};

struct vmas {
	struct vma *v;
	size_t nr;
};

const char *how_name(enum how how)
{
	return how == HOW_COUNTED ? "counted" : how == HOW_AT_MOST ? "at-most" : "unknown";
}

/*
 * All memory side by side, as huge pages even: less than that is impossible.
 * One table of each of the three levels is the least that a process has.
 */
void tables_guess(uint64_t pte, uint64_t resident, uint64_t swap, struct tables *t)
{
	uint64_t need = (resident + swap + SLOT - 1) / SLOT + 2;

	t->how = HOW_AT_MOST;
	t->freeable_min = 0;
	t->freeable = pte > need * TABLE ? pte - need * TABLE : 0;
}

/* Two letters in "VmFlags: rd wr mr ..." */
static bool has_flag(const char *flags, const char *flag)
{
	const char *p;

	for (p = flags; (p = strstr(p, flag)); p++)
		if (p[-1] == ' ' && (p[2] == ' ' || !p[2]))
			return true;
	return false;
}

/* Mappings of drivers can be told by their name only as long as nobody pays for smaps. */
static bool name_stays(const char *name)
{
	return !strncmp(name, "/dev/", 5) && strncmp(name, "/dev/zero", 9) &&
		strncmp(name, "/dev/shm/", 9);
}

static int read_vmas(pid_t pid, bool thorough, struct vmas *vmas)
{
	char *path, *text, *line, *next;
	struct vma *v = NULL;

	path = xasprintf("/proc/%d/%s", pid, thorough ? "smaps" : "maps");
	text = read_text(path, NULL);
	free(path);
	if (!text)
		return -errno;
	for (line = text; *line; line = next) {
		unsigned long long start, end;
		int name = 0;

		next = strchrnul(line, '\n');
		if (*next)
			*next++ = 0;
		if (sscanf(line, "%llx-%llx %*s %*s %*s %*s %n", &start, &end, &name) == 2) {
			/* vsyscall belongs to the kernel */
			if (start >> 63)
				break;
			vmas->v = array_grow(vmas->v, vmas->nr);
			v = &vmas->v[vmas->nr++];
			*v = (struct vma) {
				.start = start, .end = end,
				.stays = name && name_stays(line + name),
			};
		} else if (v && !strncmp(line, "VmFlags: ", 9)) {
			v->hugetlb = has_flag(line, "ht");
			/* vvar has entries wherever vdso, its neighbour, has */
			v->stays = (has_flag(line, "pf") && v->end - v->start > SLOT) ||
				(has_flag(line, "io") && v->end - v->start > SLOT) ||
				has_flag(line, "mm") || has_flag(line, "um") ||
				has_flag(line, "uw") || has_flag(line, "ui");
		}
	}
	free(text);
	return 0;
}

static bool in_hugetlb(const struct vmas *vmas, uint64_t addr)
{
	size_t low = 0, high = vmas->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (vmas->v[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < vmas->nr && vmas->v[low].start <= addr && vmas->v[low].hugetlb;
}

/* The number of different values that a growing sequence has. */
struct counter {
	uint64_t last, nr;
};

static void count_range(struct counter *c, uint64_t first, uint64_t last)
{
	if (c->nr && first <= c->last)
		first = c->last + 1;
	if (first > last)
		return;
	c->nr += last - first + 1;
	c->last = last;
}

struct use {
	struct counter pte, pmd, pud;
};

/* 0, or -errno of what the kernel does not allow or does not know. */
static int count_used(int fd, const struct vmas *vmas, struct use *use)
{
	uint64_t addr = vmas->v[0].start, end = vmas->v[vmas->nr - 1].end;

	while (addr < end) {
		struct page_region region;
		struct pm_scan_arg arg = {
			.size = sizeof(arg),
			.start = addr,
			.end = end,
			.vec = (uintptr_t)&region,
			.vec_len = 1,
			.max_pages = 1,
			.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
			.return_mask = PAGE_IS_HUGE | PAGE_IS_FILE | PAGE_IS_PRESENT,
		};
		int n = ioctl(fd, PAGEMAP_SCAN, &arg);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		addr = region.start;
		/*
		 * A huge page of anonymous memory has a table set aside, to be
		 * split into; one of a file has none, nor has hugetlb.
		 */
		if (!(region.categories & PAGE_IS_HUGE) ||
		    (!(region.categories & PAGE_IS_FILE) && !in_hugetlb(vmas, addr)))
			count_range(&use->pte, addr >> SLOT_SHIFT, addr >> SLOT_SHIFT);
		count_range(&use->pmd, addr >> PMD_SHIFT, addr >> PMD_SHIFT);
		count_range(&use->pud, addr >> PUD_SHIFT, addr >> PUD_SHIFT);
		addr = ((addr >> SLOT_SHIFT) + 1) << SLOT_SHIFT;
	}
	return 0;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void bounds(uint64_t pte, const struct vmas *vmas, const struct use *use,
		   struct tables *t)
{
	uint64_t rest, room, upper, stay = 0;
	struct use mapped = {};
	size_t i;

	for (i = 0; i < vmas->nr; i++) {
		const struct vma *v = &vmas->v[i];

		count_range(&mapped.pmd, v->start >> PMD_SHIFT, (v->end - 1) >> PMD_SHIFT);
		count_range(&mapped.pud, v->start >> PUD_SHIFT, (v->end - 1) >> PUD_SHIFT);
		if (v->stays)
			stay += ((v->end - 1) >> SLOT_SHIFT) - (v->start >> SLOT_SHIFT) + 1;
	}
	rest = minus(pte / TABLE, use->pte.nr + use->pmd.nr + use->pud.nr);

	/* At most: the empties fill the upper-level tables there are, then others. */
	room = use->pmd.nr * PER_TABLE - use->pte.nr;
	upper = rest > room ? (rest - room + PER_TABLE) / (PER_TABLE + 1) : 0;
	t->freeable = minus(rest, upper) * TABLE;

	upper = (mapped.pmd.nr - use->pmd.nr) + (mapped.pud.nr - use->pud.nr);
	t->freeable_min = minus(rest, upper + stay) * TABLE;
	t->how = HOW_COUNTED;
}

/*
 * @thorough: find out about all mappings that keep their tables; the kernel
 * looks at every page of the process for that.
 *
 * 0, or -errno: EACCES without the right to look, ENOTTY before Linux 6.7.
 */
int tables_count(pid_t pid, uint64_t pte, bool thorough, struct tables *t)
{
	struct vmas vmas = {};
	struct use use = {};
	char *path;
	int fd, err;

	if (sysconf(_SC_PAGESIZE) != TABLE)
		return -ENOTTY;
	path = xasprintf("/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 ? -errno : 0;
	free(path);
	if (err)
		return err;
	err = read_vmas(pid, thorough, &vmas);
	if (!err && !vmas.nr)
		err = -ESRCH;
	if (!err)
		err = count_used(fd, &vmas, &use);
	if (!err)
		bounds(pte, &vmas, &use, t);
	free(vmas.v);
	close(fd);
	return err;
}
