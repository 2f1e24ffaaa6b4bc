// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nobody in particular, who means harm: every way in that ptfree offers, with
 * random, huge, negative, split and binary input, from a user without rights, from
 * inside a user and cgroup namespace with a group of his own, and by groups that
 * come and go in thousands. What is refused changes nothing, what is taken is what
 * was said, and the memory of others stays as it is.
 *
 * The seed is fixed, or HOSTILE_SEED; HOSTILE_ROUNDS multiplies the work.
 */
#include <grp.h>

#include "cg.h"
#include "switches.h"

#define NOBODY		65534
#define AREA		(64 * TABLE_SPAN)
#define GROUPS		2000L

static uint64_t seed = 88172645463325252ULL;
static long rounds = 1;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static long dice(long sides)
{
	return (rnd() >> 16) % sides;
}

/* A number as somebody would choose who looks for an edge */
static uint64_t edge(void)
{
	static const uint64_t base[] = {
		0, 1, 2, 3, PAGE, PAGE - 1, TABLE_SPAN, PMD_SPAN, 1ULL << 31, 1ULL << 32,
		1ULL << 47, (1ULL << 47) - PAGE, 1ULL << 56, 1ULL << 63, 0xffff800000000000ULL,
		0xffffffff81000000ULL, -1ULL, -4096ULL, SET_FREEPT, GET_FREEPT,
	};

	switch (dice(4)) {
	case 0:
		return rnd();
	case 1:
		return rnd() >> dice(64);
	default:
		return base[dice(ARRAY_SIZE(base))] + dice(3) - 1;
	}
}

static bool one_of(int err, const int *list)
{
	for (; *list; list++)
		if (err == *list)
			return true;
	return false;
}

#define ONE_OF(err, ...) one_of(err, (const int[]){ __VA_ARGS__, 0 })

static void become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		_exit(99);
	/* What changes ids is not to be killed with its parent any more. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
}

/* @fn in a child without rights. 0 is good, a number names what went wrong. */
static int as_nobody(int (*fn)(void))
{
	int status = -1;
	pid_t pid = fork_child();

	if (!pid) {
		become_nobody();
		_exit(fn());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int fuzz_prctl(void)
{
	long i;

	for (i = 0; i < 20000 * rounds / scale; i++) {
		unsigned long a[4] = { edge(), 0, 0, 0 };
		int which = dice(2) ? SET_FREEPT : GET_FREEPT, ret, k;
		bool good;

		for (k = 1; k < 4; k++)
			a[k] = dice(3) ? 0 : edge();
		good = !a[1] && !a[2] && !a[3] &&
		       (which == SET_FREEPT ? a[0] <= CHOICE_DISABLE : !a[0]);
		ret = prctl(which, a[0], a[1], a[2], a[3]) < 0 ? -errno : 0;
		if (ret != (good ? 0 : -EINVAL))
			return 1;
		ret = chosen();
		if (ret < 0 || ret > 2 || (good && which == SET_FREEPT && ret != (int)a[0]))
			return 2;
	}
	return 0;
}

static int fuzz_madvise(void)
{
	char *at = map_anon(AREA);
	long i;

	if (!at)
		return 1;
	fill(at, AREA, 64 * KiB, 1);
	for (i = 0; i < 10000 * rounds / scale; i++) {
		uintptr_t start = dice(2) ? edge() : (uintptr_t)at + edge() % (2 * AREA);
		size_t len = dice(2) ? edge() : edge() % AREA;
		int err;

		if (dice(2))
			start &= -PAGE;
		err = give_advice((void *)start, len, ADV_FREEPT + dice(3));
		if (err && !ONE_OF(-err, EINVAL, ENOMEM, EAGAIN, EINTR))
			return 2;
		if (start % PAGE && err != -EINVAL)
			return 3;
		if (!(i % 500) && bad_marks(at, AREA, 64 * KiB, 1))
			return 4;
	}
	return bad_marks(at, AREA, 64 * KiB, 1) ? 5 : 0;
}

static pid_t root_process;

static int fuzz_process_madvise(void)
{
	int self = syscall(SYS_pidfd_open, getpid(), 0);
	int other = syscall(SYS_pidfd_open, root_process, 0);
	struct iovec *iov = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = map_anon(AREA);
	long i, k;

	if (self < 0 || other < 0 || iov == MAP_FAILED || !at)
		return 1;
	fill(at, AREA, 64 * KiB, 1);
	for (i = 0; i < 6000 * rounds / scale; i++) {
		int which = dice(4), fd = which < 2 ? self : which == 2 ? other : (int)edge();
		unsigned long count = dice(2) ? dice(8) : edge();
		unsigned int flags = dice(8) ? 0 : edge();
		void *vec = dice(8) ? iov : (void *)edge();
		long ret;

		for (k = 0; k < 8; k++) {
			iov[k].iov_base = dice(2) ? (void *)edge() : at + edge() % AREA / PAGE * PAGE;
			iov[k].iov_len = dice(2) ? edge() : edge() % AREA;
		}
		errno = 0;
		ret = syscall(SYS_process_madvise, fd, vec, count, ADV_FREEPT + dice(3), flags);
		if (ret < 0 && !ONE_OF(errno, EINVAL, ENOMEM, EAGAIN, EINTR, EBADF, EFAULT, EPERM,
				       EACCES, ESRCH))
			return 2;
		/* Whose memory it is not has nothing advised for him. */
		if (fd == other && ret > 0)
			return 3;
		if (!(i % 300) && bad_marks(at, AREA, 64 * KiB, 1))
			return 4;
	}
	return bad_marks(at, AREA, 64 * KiB, 1) ? 5 : 0;
}

static int locked_out(void)
{
	static const char *const file[] = { VM_FREEPT, VM_DELAY, VM_SIZE };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(file); i++)
		if (!ONE_OF(-write_text(file[i], "1"), EACCES, EPERM))
			return 1 + i;
	/* A group that is not his, and the machine */
	if (!ONE_OF(-cg_write("h", PT_MAX, "0"), EACCES, EPERM) ||
	    !ONE_OF(-pt_reclaim("h", "max"), EACCES, EPERM) ||
	    !ONE_OF(-pt_reclaim("", "max"), EACCES, EPERM))
		return 10;
	return 0;
}

FIXTURE(hostile) { };

FIXTURE_SETUP(hostile)
{
	const char *text = getenv("HOSTILE_SEED");

	if (text)
		seed = strtoull(text, NULL, 0) | 1;
	text = getenv("HOSTILE_ROUNDS");
	rounds = text ? strtol(text, NULL, 0) : 1;
	TH_LOG("seed %lu, %ld rounds", seed, rounds);
	ASSERT_TRUE(have_pt());
	ASSERT_EQ(0, cg_clear("h"));
	ASSERT_EQ(0, cg_make_parent("h"));
}

FIXTURE_TEARDOWN(hostile)
{
	EXPECT_EQ(0, cg_clear("h"));
}

TEST_F(hostile, prctl)
{
	EXPECT_EQ(0, as_nobody(fuzz_prctl));
}

TEST_F(hostile, madvise)
{
	EXPECT_EQ(0, as_nobody(fuzz_madvise));
}

/* Of one's own, and of a process of root's, whose pages are there as before */
TEST_F(hostile, process_madvise)
{
	struct cg_child c = { 0 };

	ASSERT_EQ(0, cg_child_start(&c, NULL, 64));
	ASSERT_EQ(0, cg_child_do(&c, 'f', 64));
	root_process = c.pid;
	EXPECT_EQ(0, as_nobody(fuzz_process_madvise));
	EXPECT_EQ(0, cg_child_do(&c, 'c', 64));
	cg_child_end(&c);
}

TEST_F(hostile, locked_out)
{
	EXPECT_EQ(0, as_nobody(locked_out));
}

/* Text for a file that takes a size: what is to become of it? */
enum verdict { REFUSED, TAKEN, ANY };

static size_t text_of(char *buf, size_t room, enum verdict *verdict, uint64_t *value)
{
	static const char *const bad[] = {
		"", " ", "\n", "\t\n", "-1", "-4096", "- 1", "MAX", "maxx", "max max", "max1",
		"1 1", "4096 4096", "1KK", "1Q", "K", "M", "+", "0x", "4096 swappiness=0",
		"99999999999999999999", "18446744073709551616", "1e9", "1.5M", "4096,", "nan",
		"./..", "%s%n", "0M0", "-9223372036854775808",
	};
	static const char suffix[] = "KMG";
	uint64_t n = rnd() >> (24 + dice(40));
	size_t len, i;

	*verdict = ANY;
	switch (dice(6)) {
	case 0:
		*verdict = REFUSED;
		return snprintf(buf, room, "%s", bad[dice(ARRAY_SIZE(bad))]);
	case 1:
		*verdict = TAKEN;
		*value = n / PAGE * PAGE;
		return snprintf(buf, room, "%lu%s", n, dice(2) ? "\n" : "");
	case 2:
		*verdict = TAKEN;
		i = dice(3);
		n >>= 20;
		*value = n << (10 * (i + 1)) >> 12 << 12;
		return snprintf(buf, room, "%lu%c", n, suffix[i]);
	case 3:
		*verdict = TAKEN;
		*value = NO_LIMIT;
		return snprintf(buf, room, "max%s", dice(2) ? "\n" : "");
	case 4:
		/* Bytes, the first of which begins no number and no word */
		*verdict = REFUSED;
		len = 1 + dice(64);
		for (i = 0; i < len; i++)
			buf[i] = rnd();
		buf[0] = 0x80 | buf[0];
		return len;
	default:
		/* Digits without end */
		len = 1 + dice(room - 1);
		for (i = 0; i < len; i++)
			buf[i] = '0' + dice(10);
		buf[0] = '9';
		if (len > 20)
			*verdict = REFUSED;
		return len;
	}
}

static long write_bytes(int fd, const char *buf, size_t len)
{
	ssize_t n = write(fd, buf, len);

	return n < 0 ? -errno : n;
}

static char fuzzed_group[64];

/* Limits of a group: refused input leaves what was there, taken input is there. */
static int fuzz_limit(const char *file)
{
	static char buf[6000];
	char path[256];
	long i, n, was = cg_number(fuzzed_group, file);
	int fd;

	cg_path(path, sizeof(path), fuzzed_group, file);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 1;
	for (i = 0; i < 3000 * rounds / scale; i++) {
		enum verdict verdict;
		uint64_t value = 0;
		size_t len = text_of(buf, sizeof(buf), &verdict, &value);
		bool split = len > 1 && !dice(4);

		/* In two writes it is two inputs: the last one counts. */
		if (split)
			write_bytes(fd, buf, dice(len));
		if (split)
			was = cg_number(fuzzed_group, file);
		n = write_bytes(fd, buf, len);
		/* More than a page is too much for any file. */
		if (n < 0 && !ONE_OF(-n, EINVAL, E2BIG, ERANGE))
			return 2;
		if (verdict == REFUSED && n > 0)
			return 3;
		if (verdict == TAKEN && n != (long)len)
			return 4;
		n = cg_number(fuzzed_group, file);
		if (verdict == REFUSED && n != was)
			return 5;
		if (verdict == TAKEN && (uint64_t)n != value)
			return 6;
		if (n != NO_LIMIT && (n < 0 || n % PAGE))
			return 7;
		was = n;
	}
	close(fd);
	return 0;
}

/* Files that take no size: nothing but an error, and no harm */
static int fuzz_others(void)
{
	static const char *const file[] = {
		PT_RECLAIM, PT_EVENTS, PT_EVENTS_LOCAL, PT_CURRENT, PT_PEAK,
	};
	static char buf[6000];
	char path[256];
	long i, n;

	for (i = 0; i < 3000 * rounds / scale; i++) {
		enum verdict verdict;
		uint64_t value;
		size_t which = dice(ARRAY_SIZE(file));
		size_t len = text_of(buf, sizeof(buf), &verdict, &value);
		int fd;

		cg_path(path, sizeof(path), fuzzed_group, file[which]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0) {
			n = write_bytes(fd, buf, len);
			if (n < 0 && !ONE_OF(-n, EINVAL, EAGAIN, EINTR, E2BIG, ERANGE))
				return 20 + which;
			if (!which && verdict == REFUSED && n > 0)
				return 30;
			close(fd);
		}
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		/* From anywhere, as little or as much */
		n = pread(fd, buf, dice(2) ? dice(sizeof(buf)) : 1, dice(2) ? 0 : edge() >> 1);
		if (n < 0 && !ONE_OF(errno, EINVAL, EFAULT, EOVERFLOW))
			return 40 + which;
		close(fd);
	}
	return 0;
}

static int fuzz_group(void)
{
	return fuzz_limit(PT_HIGH) ?: fuzz_limit(PT_MAX) ?: fuzz_others();
}

TEST_F(hostile, files)
{
	ASSERT_EQ(0, cg_make("h/g"));
	snprintf(fuzzed_group, sizeof(fuzzed_group), "h/g");
	EXPECT_EQ(0, fuzz_group());
}

/* The same with somebody in it, who may be killed and comes again. */
TEST_F(hostile, files_of_the_living)
{
	struct cg_child c = { 0 };
	int i, killed = 0, status = -1;

	ASSERT_EQ(0, cg_make("h/g"));
	snprintf(fuzzed_group, sizeof(fuzzed_group), "h/g");
	for (i = 0; i < 8; i++) {
		pid_t pid;

		ASSERT_EQ(0, cg_child_start(&c, "h/g", 64));
		cg_child_tell(&c, 'f', 64);
		pid = fork_child();
		if (!pid) {
			rounds = 1;
			scale *= 8;
			seed += i;
			_exit(fuzz_group());
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		killed += kill(c.pid, 0) || task_state(c.pid) == 'Z';
		cg_child_end(&c);
		cg_write("h/g", PT_MAX, "max");
	}
	TH_LOG("killed for a budget: %d of 8", killed);
	EXPECT_TRUE(wait_current_below("h/g", 0, 10000 * scale));
}

/* The three settings by root: whatever is written, they are in their range. */
TEST_F(hostile, sysctl)
{
	static const struct {
		const char *file;
		long min, max;
	} one[] = {
		{ VM_FREEPT, 0, 2 }, { VM_DELAY, 10, 3600000 }, { VM_SIZE, 2, SIZE_MAX_MB },
	};
	static char buf[6000];
	long i, value, before[3];
	size_t k;
	int fd;

	for (k = 0; k < 3; k++)
		before[k] = read_long(one[k].file);
	for (i = 0; i < 2000 * rounds / scale; i++) {
		enum verdict verdict;
		uint64_t ignored;
		size_t len = text_of(buf, sizeof(buf), &verdict, &ignored);

		k = dice(3);
		fd = open(one[k].file, O_WRONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		if (dice(4) == 0)
			write_bytes(fd, buf, dice(len + 1));
		write_bytes(fd, buf, len);
		close(fd);
		value = read_long(one[k].file);
		ASSERT_TRUE(value >= one[k].min && value <= one[k].max) {
			TH_LOG("%s is %ld", one[k].file, value);
		}
	}
	for (k = 0; k < 3; k++)
		EXPECT_EQ(0, write_long(one[k].file, before[k]));
}

/* What anybody tries, by one who is root in a namespace of his own, and only there */
static int fuzz_as_own_root(void)
{
	static int (*const fuzz[])(void) = {
		fuzz_prctl, fuzz_madvise, fuzz_process_madvise, locked_out,
	};
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(fuzz); i++) {
		err = fuzz[i]();
		if (err)
			return 100 + 20 * i + err;
	}
	return 0;
}

/* From inside: the group is his, its limits are his host's, and below all is his. */
static int in_namespaces(void)
{
	char map[64];
	int err;

	if (unshare(CLONE_NEWUSER | CLONE_NEWCGROUP))
		return 51;
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %d 1", NOBODY);
	if (write_text("/proc/self/uid_map", map) || write_text("/proc/self/gid_map", map))
		return 52;
	/* A group with controllers for others has no processes of its own. */
	if (cg_make("h/deleg/in") || cg_enter("h/deleg/in", 0) ||
	    cg_write("h/deleg", "cgroup.subtree_control", "+memory"))
		return 50;
	/* What the host has set is not to be changed from here. */
	err = cg_write("h/deleg", PT_MAX, "max");
	if (!ONE_OF(-err, EPERM, EACCES))
		return 53;
	err = cg_write("h", PT_MAX, "max");
	if (!ONE_OF(-err, EPERM, EACCES))
		return 54;
	/* To free what is one's own is allowed. */
	err = pt_reclaim("h/deleg", "max");
	if (err && err != -EAGAIN)
		return 55;
	if (cg_make("h/deleg/g"))
		return 56;
	snprintf(fuzzed_group, sizeof(fuzzed_group), "h/deleg/g");
	return fuzz_group() ?: fuzz_as_own_root();
}

static void give_to_nobody(struct __test_metadata *_metadata, const char *group,
			   const char *file)
{
	char path[256];

	cg_path(path, sizeof(path), group, file);
	EXPECT_EQ(0, chown(path, NOBODY, NOBODY));
}

TEST_F(hostile, delegated)
{
	struct cg_child c = { 0 };
	pid_t pid;
	int status = -1;

	ASSERT_EQ(0, cg_child_start(&c, NULL, 64));
	ASSERT_EQ(0, cg_child_do(&c, 'f', 64));
	root_process = c.pid;
	ASSERT_EQ(0, cg_make("h/deleg"));
	ASSERT_EQ(0, pt_limit("h/deleg", PT_MAX, 16 * MiB));
	give_to_nobody(_metadata, "h/deleg", "");
	give_to_nobody(_metadata, "h/deleg", "cgroup.procs");
	give_to_nobody(_metadata, "h/deleg", "cgroup.subtree_control");
	give_to_nobody(_metadata, "h/deleg", PT_RECLAIM);
	give_to_nobody(_metadata, "h/deleg", PT_MAX);
	/* It enters before it is nobody: he may not come in from outside. */
	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (cg_enter("h/deleg", 0))
			_exit(90);
		become_nobody();	/* no second one, which would stay in the group */
		_exit(in_namespaces());
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) {
		TH_LOG("in_namespaces() said %d", WEXITSTATUS(status));
	}
	EXPECT_EQ(0, cg_child_do(&c, 'c', 64));
	cg_child_end(&c);
	EXPECT_EQ(16 * MiB, cg_number("h/deleg", PT_MAX));
}

/* One of those who make groups, use them a little, and remove them */
static int come_and_go(int who, long groups)
{
	char name[64];
	long i;

	seed += who * 0x9e3779b97f4a7c15ULL;
	for (i = 0; i < groups; i++) {
		pid_t pid;
		int status, err;

		snprintf(name, sizeof(name), "h/%d-%ld", who, i);
		if (cg_make(name))
			return 1;
		if (dice(2))
			pt_limit(name, PT_HIGH, dice(64) * PAGE);
		if (!dice(4))
			pt_limit(name, PT_MAX, (16 + dice(64)) * PAGE);
		if (dice(2)) {
			pid = fork_child();
			if (!pid) {
				char *at;

				if (cg_enter(name, 0))
					_exit(1);
				at = map_anon(32 * TABLE_SPAN);
				if (!at)
					_exit(2);
				fill(at, 32 * TABLE_SPAN, TABLE_SPAN, i);
				madvise(at, 16 * TABLE_SPAN, MADV_DONTNEED);
				pt_reclaim(name, "max");
				_exit(bad_marks(at + 16 * TABLE_SPAN, 16 * TABLE_SPAN,
						TABLE_SPAN, i) ? 3 : 0);
			}
			/* Its limit may kill it, nothing else. */
			if (pid < 0 || waitpid(pid, &status, 0) != pid ||
			    (status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)))
				return 2;
		}
		err = cg_remove(name);
		if (err)
			return 3;
	}
	return 0;
}

/* 1000 groups took 409 s on a debug kernel, with strict grace periods. */
TEST_F_TIMEOUT(hostile, thousands_of_groups, 1200)
{
	long per_worker = GROUPS * rounds / 4 / scale, start = now_ms(), said = start;
	pid_t pid[4], load;
	int i, status, left = 4;

	/* Somebody who has nothing to do with it, and reads all the time */
	load = fork_child();
	ASSERT_LE(0, load);
	while (!load) {
		pt_current("h");
		cg_stat("h", "pagetables");
		pt_reclaim("h", "max");
	}
	for (i = 0; i < 4; i++) {
		pid[i] = fork_child();
		ASSERT_LE(0, pid[i]);
		if (!pid[i])
			_exit(come_and_go(i, per_worker));
	}
	while (left) {
		pid_t dead = waitpid(-1, &status, WNOHANG);

		if (dead > 0) {
			EXPECT_NE(load, dead);
			EXPECT_EQ(0, status);
			left--;
		} else {
			nap_ms(50);
		}
		if (now_ms() > said + 30000) {
			said = now_ms();
			TH_LOG("%ld s", (said - start) / 1000);
		}
	}
	reap(load);
	TH_LOG("%ld groups in %ld s", 4 * per_worker, (now_ms() - start) / 1000);
	EXPECT_TRUE(wait_current_below("h", 0, 10000 * scale)) {
		TH_LOG("%ld bytes are left", pt_current("h"));
	}
	EXPECT_TRUE(wait_stat_equal("h"));
}

PTFREE_TEST_MAIN(2, 20, SIZE_MAX_MB)
