// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of a process' page tables could be freed
 *
 * A table of the lowest level maps a slot of 2 MiB; when it is empty, it can be
 * freed. The ioctl PAGEMAP_SCAN answers two questions. In which slot is the first
 * page that has an entry: there the table is in use. And where is the first page
 * that has a table: an entry that is none, in a table that is there, counts for
 * "written since somebody wanted to know", and where there is no table nothing
 * does. What has a table and no entry is an empty table.
 *
 * The kernel holds the mmap lock for as long as it looks for an answer, and who
 * wants to map or unmap memory waits. So it is asked for a little at a time.
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
#include <sys/mman.h>
#include <unistd.h>

#include "ptfree.h"

/* The headers of Debian 12 are those of Linux 6.1. */
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN		_IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN		(1 << 1)
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

/*
 * What the kernel is asked about at once: where no tables are, it passes a GiB in
 * some microseconds, and a table in two or three.
 */
#define HOP		(16ULL << 30)
#define STEP		(32 * SLOT)

/* smaps looks at all pages of a mapping in one go: not for those who have more. */
#define SMAPS_TABLES	2048

struct vma {
	uint64_t start, end;
	bool stays;		/* the kernel frees no table that this has a part in */
};

struct vmas {
	struct vma *v;
	size_t nr;
};

const char *how_name(enum how how)
{
	static const char *const names[] = {
		[HOW_UNKNOWN] = "unknown",
		[HOW_AT_MOST] = "at-most",
		[HOW_ESTIMATED] = "estimated",
		[HOW_COUNTED] = "counted",
	};

	return names[how];
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
	if (!strncmp(name, "[vvar", 5))
		return true;
	return !strncmp(name, "/dev/", 5) && strncmp(name, "/dev/zero", 9) &&
		strncmp(name, "/dev/shm/", 9);
}

static int read_vmas(pid_t pid, bool smaps, struct vmas *vmas)
{
	char *path, *text, *line, *next;
	struct vma *v = NULL;

	path = xasprintf("/proc/%d/%s", pid, smaps ? "smaps" : "maps");
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
			v->stays = has_flag(line, "pf") || has_flag(line, "io") ||
				has_flag(line, "mm") || has_flag(line, "um") ||
				has_flag(line, "uw") || has_flag(line, "ui");
		}
	}
	free(text);
	return 0;
}

/* The first mapping that ends behind @addr */
static size_t vma_at(const struct vmas *vmas, uint64_t addr)
{
	size_t low = 0, high = vmas->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (vmas->v[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool slot_stays(const struct vmas *vmas, uint64_t slot)
{
	size_t i;

	for (i = vma_at(vmas, slot); i < vmas->nr && vmas->v[i].start < slot + SLOT; i++)
		if (vmas->v[i].stays)
			return true;
	return false;
}

/*
 * What PAGEMAP_SCAN finds from @start to @end: the number of regions, 0 for
 * nothing, or -errno. *@next is where it has stopped.
 */
static int scan(int fd, uint64_t start, uint64_t end, struct pm_scan_arg *arg, uint64_t *next)
{
	int n;

	do {
		arg->size = sizeof(*arg);
		arg->start = start;
		arg->end = end;
		arg->walk_end = 0;
		n = ioctl(fd, PAGEMAP_SCAN, arg);
	} while (n < 0 && errno == EINTR);
	*next = arg->walk_end;
	return n < 0 ? -errno : n;
}

/* Is there an entry? *@addr: the first page with one; *@huge: which needs no table */
static int find_entry(int fd, uint64_t start, uint64_t end, uint64_t *addr, bool *huge)
{
	struct page_region region = {};
	struct pm_scan_arg arg = {
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.max_pages = 1,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_HUGE,
	};
	uint64_t next;
	int n = scan(fd, start, end, &arg, &next);

	*addr = region.start;
	*huge = region.categories & PAGE_IS_HUGE;
	return n;
}

/*
 * Where are tables? Where the whole of the question is this, a kernel that knows
 * PAGEMAP_SCAN looks at the entry alone, and so it is asked just like this.
 */
static int find_tables(int fd, uint64_t start, uint64_t end, struct page_region *regions,
		       int nr, uint64_t max_pages, uint64_t *next)
{
	struct pm_scan_arg arg = {
		.vec = (uintptr_t)regions,
		.vec_len = nr,
		.max_pages = max_pages,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};

	return scan(fd, start, end, &arg, next);
}

static int find_table(int fd, uint64_t start, uint64_t end, uint64_t *addr)
{
	struct page_region region = {};
	uint64_t next;
	int n = find_tables(fd, start, end, &region, 1, 1, &next);

	*addr = region.start;
	return n;
}

/*
 * No kernel promises the answer of find_table(). So it has to prove itself: there
 * is a table for the page beside one that is in use, and none where nobody was.
 */
static bool kernel_tells(void)
{
	char *area, *slot;
	uint64_t at, addr;
	bool tells = false, huge;
	int fd;

	area = mmap(NULL, 3 * SLOT, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return false;
	slot = area + (-(uintptr_t)area & (SLOT - 1));
	at = (uintptr_t)slot;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !madvise(area, 3 * SLOT, MADV_NOHUGEPAGE)) {
		*(volatile char *)slot = 1;
		tells = find_table(fd, at + TABLE, at + 2 * TABLE, &addr) == 1 &&
			!find_table(fd, at + SLOT, at + SLOT + TABLE, &addr) &&
			!find_entry(fd, at + TABLE, at + 2 * TABLE, &addr, &huge) &&
			find_entry(fd, at, at + TABLE, &addr, &huge) == 1;
	}
	if (fd >= 0)
		close(fd);
	munmap(area, 3 * SLOT);
	return tells;
}

struct count {
	uint64_t used, empty;	/* tables */
	uint64_t kept;		/* empty too, but a mapping keeps them */
	uint64_t last;		/* slot that was found empty */
	double until;
	bool flags;		/* of mappings are known, from smaps */
};

/* The tables from @start to @end, of which none has an entry */
static int count_empty(int fd, const struct vmas *vmas, uint64_t start, uint64_t end,
		       struct count *c)
{
	struct page_region regions[64];
	uint64_t slot, next;
	int n, i;

	for (; start < end; start = next) {
		n = find_tables(fd, start, end, regions, 64, 0, &next);
		if (n < 0)
			return n;
		for (i = 0; i < n; i++) {
			slot = regions[i].start & -SLOT;
			for (; slot < regions[i].end; slot += SLOT) {
				/* a gap between mappings parts the region of a table */
				if (slot == c->last)
					continue;
				c->last = slot;
				if (slot_stays(vmas, slot))
					c->kept++;
				else
					c->empty++;
			}
		}
		if (next <= start)
			break;
	}
	return 0;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* 0, or -errno of what the kernel does not allow or does not know. */
static int count_tables(int fd, const struct vmas *vmas, struct count *c)
{
	uint64_t addr = 0, stop, used;
	bool dense = false;	/* the slot before was in use, so this one may be */
	bool huge;
	unsigned int rounds = 0;
	int n;

	for (;;) {
		size_t i = vma_at(vmas, addr);

		if (i == vmas->nr)
			return 0;
		if (c->until && ++rounds % 64 == 0 && now_seconds() > c->until)
			return -ETIME;
		if (addr < vmas->v[i].start)
			addr = vmas->v[i].start;
		if (!dense) {
			stop = lower((addr & -SLOT) + HOP, vmas->v[vmas->nr - 1].end);
			n = find_table(fd, addr, stop, &used);
			if (n < 0)
				return n;
			addr = n ? used : stop;
			if (!n)
				continue;
		}
		stop = lower((addr & -SLOT) + (dense ? SLOT : STEP), vmas->v[vmas->nr - 1].end);
		n = find_entry(fd, addr, stop, &used, &huge);
		if (n < 0)
			return n;
		dense = n;
		if (dense)
			stop = used & -SLOT;
		n = count_empty(fd, vmas, addr, stop, c);
		if (n < 0)
			return n;
		addr = dense ? stop + SLOT : stop;
		c->used += dense && !huge;
	}
}

static int count(pid_t pid, uint64_t pte, enum scan mode, struct count *c)
{
	char *path = xasprintf("/proc/%d/pagemap", pid);
	struct vmas vmas = {};
	int fd, err;

	c->flags = mode == SCAN_THOROUGH ||
		(mode == SCAN_USUAL && pte <= SMAPS_TABLES * TABLE);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 ? -errno : 0;
	free(path);
	if (err)
		return err;
	err = read_vmas(pid, c->flags, &vmas);
	if (!err && !vmas.nr)
		err = -ESRCH;
	if (!err)
		err = count_tables(fd, &vmas, c);
	free(vmas.v);
	close(fd);
	return err;
}

/*
 * @until: give up then, if that is not 0.
 *
 * 0, or -errno: EACCES without the right to look, ENOTTY before Linux 6.7, ETIME.
 */
int tables_count(pid_t pid, uint64_t pte, enum scan mode, double until, struct tables *t)
{
	struct count c = { .last = 1, .until = until };
	static int tells = -1;
	int err;

	if (tells < 0)
		tells = sysconf(_SC_PAGESIZE) == TABLE && kernel_tells();
	if (!tells)
		return -ENOTTY;
	err = count(pid, pte, mode, &c);
	if (err)
		return err;
	if ((c.used + c.empty) * TABLE > pte) {
		char *path = xasprintf("/proc/%d/status", pid);
		uint64_t now = file_value(path, "VmPTE");

		free(path);
		if (now != UNKNOWN && now > pte)
			pte = now;
	}
	/*
	 * More than there are: in memory that userfaultfd write-protects, what has no
	 * table counts for written too, and without smaps nobody knows which that is.
	 */
	if ((c.used + c.empty) * TABLE > pte) {
		t->freeable = lower(t->freeable, pte - lower(c.used * TABLE, pte));
		return 0;
	}
	/*
	 * Without smaps, an empty table may belong to userfaultfd or a driver and stay,
	 * or to a file in /dev that is no driver's and go. Where none is empty, there is
	 * nothing to be wrong about.
	 */
	t->how = c.flags || !(c.empty + c.kept) ? HOW_COUNTED : HOW_ESTIMATED;
	t->freeable = c.empty * TABLE;
	t->freeable_min = t->how == HOW_COUNTED ? t->freeable : 0;
	return 0;
}
