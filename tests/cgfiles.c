// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files memory.pt.*: where they are, who may do what with them, every value
 * that is taken and refused, the peak of each descriptor. cgevents.c has what
 * the events count and how their watchers wake up.
 *
 * With --expect-off the same holds, but that no request does anything; with
 * --expect-absent (tables are not charged: cgroup.memory=nokmem,
 * cgroup_disable=memory) there is no file at all, and the boot log says so once.
 */
#include "cg.h"

#define DELEGATE	"/sys/kernel/cgroup/delegate"
#define TABLES		64L

static bool expect_absent;

static const struct {
	const char *name;
	mode_t mode;
	bool root;
} files[] = {
	{ PT_CURRENT, 0444, false },
	{ PT_PEAK, 0644, false },
	{ PT_HIGH, 0644, false },
	{ PT_MAX, 0644, false },
	{ PT_EVENTS, 0444, false },
	{ PT_EVENTS_LOCAL, 0444, false },
	{ PT_RECLAIM, 0200, true },
};

static bool starts_with(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

/* Files of @group that are ours by name. */
static long our_files(const char *group)
{
	char path[512];
	struct dirent *entry;
	long n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), CG_ROOT "/%s", group);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		n += starts_with(entry->d_name, "memory.pt");
	closedir(dir);
	return n;
}

/* Lines of the kernel's log that contain both words. */
static long log_lines(const char *one, const char *two)
{
	static char text[8192];
	long lines = 0;
	ssize_t n;
	int fd;

	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* One record a read; -EPIPE tells that older ones were overwritten. */
	while ((n = read(fd, text, sizeof(text) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		text[n > 0 ? n : 0] = 0;
		lines += strstr(text, one) && strstr(text, two);
	}
	close(fd);
	return lines;
}

FIXTURE(absent) { };

FIXTURE_SETUP(absent)
{
	if (!expect_absent)
		SKIP(return, "page tables are charged here");
}

FIXTURE_TEARDOWN(absent)
{
	cg_clear("t");
}

TEST_F(absent, no_files)
{
	EXPECT_EQ(0, our_files(""));
	ASSERT_EQ(0, cg_make("t"));
	EXPECT_EQ(0, our_files("t"));
	EXPECT_EQ(have_memcg(), cg_has("t", "memory.current"));
}

TEST_F(absent, said_once)
{
	EXPECT_EQ(1, log_lines("memcg-pt:", "no budgets for page tables")) {
		TH_LOG("the boot log must say once that there is no memory.pt.*");
	}
}

FIXTURE(group) { };

FIXTURE_SETUP(group)
{
	if (expect_absent)
		SKIP(return, "no files to test");
	ASSERT_TRUE(have_pt());
	ASSERT_EQ(0, cg_clear("t"));
	ASSERT_EQ(0, cg_make_parent("t"));
	ASSERT_EQ(0, cg_make("t/a"));
}

FIXTURE_TEARDOWN(group)
{
	cg_enter("", getpid());
	EXPECT_EQ(0, cg_clear("t"));
}

/* Presence */

TEST_F(group, where_they_are)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		EXPECT_TRUE(cg_has("t", files[i].name)) {
			TH_LOG("%s", files[i].name);
		}
		EXPECT_EQ(files[i].root, cg_has("", files[i].name)) {
			TH_LOG("%s in the root", files[i].name);
		}
	}
	/* and no other: a file is for ever */
	EXPECT_EQ(1, our_files(""));
	EXPECT_EQ((long)ARRAY_SIZE(files), our_files("t"));
	EXPECT_EQ((long)ARRAY_SIZE(files), our_files("t/a"));
}

TEST_F(group, come_and_go_with_the_controller)
{
	ASSERT_EQ(0, pt_limit("t/a", PT_MAX, 64 * MiB));
	ASSERT_EQ(0, pt_limit("t/a", PT_HIGH, 32 * MiB));
	ASSERT_EQ(0, cg_write("t", "cgroup.subtree_control", "-memory"));
	EXPECT_EQ(0, our_files("t/a"));
	EXPECT_EQ((long)ARRAY_SIZE(files), our_files("t"));
	ASSERT_EQ(0, cg_write("t", "cgroup.subtree_control", "+memory"));
	EXPECT_EQ((long)ARRAY_SIZE(files), our_files("t/a"));
	EXPECT_EQ(NO_LIMIT, cg_number("t/a", PT_MAX));
	EXPECT_EQ(NO_LIMIT, cg_number("t/a", PT_HIGH));
	EXPECT_EQ(0, pt_current("t/a"));
	EXPECT_EQ(0, pt_peak("t/a"));
}

TEST_F(group, modes)
{
	struct stat st;
	char path[512];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		cg_path(path, sizeof(path), "t", files[i].name);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(files[i].mode, st.st_mode & 07777) {
			TH_LOG("%s has mode %o", files[i].name, st.st_mode & 07777);
		}
	}
}

TEST_F(group, nobody_may_only_read)
{
	int status = -1;
	pid_t pid;
	size_t i;

	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid) {
		char text[64];

		if (setgid(65534) || setuid(65534))
			_exit(100);
		for (i = 0; i < ARRAY_SIZE(files); i++) {
			if (cg_write("t", files[i].name, "0") != -EACCES)
				_exit(10 + i);
			if ((cg_text("t", files[i].name, text, sizeof(text)) > 0) !=
			    !!(files[i].mode & 0444))
				_exit(20 + i);
		}
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

TEST_F(group, defaults)
{
	char text[256];

	EXPECT_EQ(0, pt_current("t"));
	EXPECT_EQ(0, pt_peak("t"));
	EXPECT_EQ(4, cg_text("t", PT_HIGH, text, sizeof(text)));
	EXPECT_STREQ("max\n", text);
	EXPECT_EQ(4, cg_text("t", PT_MAX, text, sizeof(text)));
	EXPECT_STREQ("max\n", text);
	/* This is the format, too: these keys in this order. */
	ASSERT_LT(0, cg_text("t", PT_EVENTS, text, sizeof(text)));
	EXPECT_STREQ("high 0\nmax 0\noom 0\noom_kill 0\n", text);
	ASSERT_LT(0, cg_text("t", PT_EVENTS_LOCAL, text, sizeof(text)));
	EXPECT_STREQ("high 0\nmax 0\noom 0\noom_kill 0\n", text);
}

/* A new group does not inherit its parent's limits: they apply by hierarchy. */
TEST_F(group, limits_are_not_inherited)
{
	ASSERT_EQ(0, pt_limit("t", PT_MAX, MiB));
	ASSERT_EQ(0, pt_limit("t", PT_HIGH, MiB));
	ASSERT_EQ(0, cg_make("t/b"));
	EXPECT_EQ(NO_LIMIT, cg_number("t/b", PT_MAX));
	EXPECT_EQ(NO_LIMIT, cg_number("t/b", PT_HIGH));
	EXPECT_EQ(NO_LIMIT, cg_number("t/a", PT_MAX));
}

/* What only shows something refuses a write as memory.current does. */
TEST_F(group, read_only_files)
{
	int as_current = cg_write("t", "memory.current", "0");

	EXPECT_GT(0, as_current);
	EXPECT_EQ(as_current, cg_write("t", PT_CURRENT, "0"));
	EXPECT_EQ(as_current, cg_write("t", PT_EVENTS, "0"));
	EXPECT_EQ(as_current, cg_write("t", PT_EVENTS_LOCAL, "0"));
}

/* A tool that reads all files of a group must not free anything by it. */
TEST_F(group, reclaim_has_no_read)
{
	static const char * const groups[] = { "t", "" };
	char path[512], text[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		cg_path(path, sizeof(path), groups[i], PT_RECLAIM);
		ASSERT_EQ(0, chmod(path, 0644));
		EXPECT_EQ(-EINVAL, read_text(path, text, sizeof(text)));
		ASSERT_EQ(0, chmod(path, 0200));
	}
}

/* Values of memory.pt.high and memory.pt.max */

FIXTURE(limit) { };

FIXTURE_VARIANT(limit) {
	const char *file;
};

FIXTURE_VARIANT_ADD(limit, high) { .file = PT_HIGH };
FIXTURE_VARIANT_ADD(limit, max) { .file = PT_MAX };

FIXTURE_SETUP(limit)
{
	if (expect_absent)
		SKIP(return, "no files to test");
	ASSERT_TRUE(have_pt());
	ASSERT_EQ(0, cg_clear("t"));
	ASSERT_EQ(0, cg_make("t"));
}

FIXTURE_TEARDOWN(limit)
{
	EXPECT_EQ(0, cg_clear("t"));
}

TEST_F(limit, takes)
{
	static const struct {
		const char *in, *out;
	} values[] = {
		{ "0", "0\n" },
		{ "4096", "4096\n" },
		{ "4096\n", "4096\n" },
		{ " 8192 \n", "8192\n" },
		{ "\t12288", "12288\n" },
		/* rounded down to pages */
		{ "1", "0\n" },
		{ "4095", "0\n" },
		{ "4097", "4096\n" },
		{ "1048575", "1044480\n" },
		{ "1K", "0\n" },
		{ "5K", "4096\n" },
		/* suffixes */
		{ "8K", "8192\n" },
		{ "64M", "67108864\n" },
		{ "3G", "3221225472\n" },
		{ "2T", "2199023255552\n" },
		{ "1P", "1125899906842624\n" },
		{ "7E", "8070450532247928832\n" },
		{ "8k", "8192\n" },
		{ "1m", "1048576\n" },
		{ "1g", "1073741824\n" },
		{ "0M", "0\n" },
		/* decimal, whatever it starts with */
		{ "0010000", "8192\n" },
		/* no limit */
		{ "max", "max\n" },
		{ "0", "0\n" },
		{ "max\n", "max\n" },
		{ "0", "0\n" },
		{ " max \n", "max\n" },
		/* the largest there is, and what is more than can be counted */
		{ "9223372036854771711", "9223372036854767616\n" },
		{ "9223372036854775807", "max\n" },
		{ "18446744073709551615", "max\n" },
	};
	char text[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		EXPECT_EQ(0, cg_write("t", variant->file, values[i].in)) {
			TH_LOG("\"%s\" was refused", values[i].in);
		}
		EXPECT_LT(0, cg_text("t", variant->file, text, sizeof(text)));
		EXPECT_STREQ(values[i].out, text) {
			TH_LOG("after \"%s\"", values[i].in);
		}
	}
}

TEST_F(limit, refuses)
{
	static const char * const bad[] = {
		/* nothing in it */
		"\n", " ", "\t\n", "   \n",
		/* negative */
		"-1", "-4096", "-0", "-max", "+4096",
		/* more than there is */
		"18446744073709551616", "99999999999999999999", "16E", "17E",
		"20000000000000000000K", "18014398509481985K",
		/* trailing */
		"4096x", "4096 x", "4096,", "4096 4096", "4096\n8192", "4096KB", "4096B", "64MiB",
		"1.5M", "64 M", "64MM", "64Mx", "max 1", "maxx", "maximum", "max,", "0 max",
		/* not a number */
		"K", "M", "x", "junk", "MAX", "Max", "infinity", "ma", "--1", "$1", "1e6",
		/* not decimal */
		"0x1000", "0X1000", "0x", "1000h", "0b11",
	};
	static char longer[2 * PAGE];
	const long old = 40 * KiB;
	size_t i;

	ASSERT_EQ(0, pt_limit("t", variant->file, old));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, cg_write("t", variant->file, bad[i])) {
			TH_LOG("\"%s\" was not refused", bad[i]);
		}
		EXPECT_EQ(old, cg_number("t", variant->file)) {
			TH_LOG("\"%s\" has changed the value", bad[i]);
		}
		cg_write("t", variant->file, "40K");
	}
	/* Nothing at all does not get as far as the file. */
	EXPECT_EQ(0, cg_write("t", variant->file, ""));
	EXPECT_EQ(old, cg_number("t", variant->file));
	/* Nor does more than a page. */
	memset(longer, ' ', sizeof(longer) - 2);
	longer[0] = '4';
	EXPECT_EQ(-E2BIG, cg_write("t", variant->file, longer));
	EXPECT_EQ(old, cg_number("t", variant->file));
}

/* With freept=off a limit is taken and shown, and the log says once what it is not. */
TEST_F(limit, off_is_said_once)
{
	if (expectation != EXPECT_OFF)
		SKIP(return, "limits are enforced here");
	ASSERT_EQ(0, pt_limit("t", variant->file, MiB));
	ASSERT_EQ(0, pt_limit("t", variant->file, 2 * MiB));
	EXPECT_EQ(1, log_lines("memcg-pt:", "freept=off"));
}

/* One limit is not the other. */
TEST_F(limit, is_its_own)
{
	const char *other = strcmp(variant->file, PT_MAX) ? PT_MAX : PT_HIGH;

	ASSERT_EQ(0, pt_limit("t", variant->file, MiB));
	EXPECT_EQ(NO_LIMIT, cg_number("t", other));
	EXPECT_EQ(NO_LIMIT, cg_number("t", "memory.max"));
	EXPECT_EQ(NO_LIMIT, cg_number("t", "memory.high"));
	ASSERT_EQ(0, pt_limit("t", other, 2 * MiB));
	EXPECT_EQ((long)MiB, cg_number("t", variant->file));
	ASSERT_EQ(0, cg_write("t", "memory.max", "512M"));
	EXPECT_EQ((long)MiB, cg_number("t", variant->file));
}

/* Values of memory.pt_reclaim; what they do is cgreclaim.c's matter. */

TEST_F(group, reclaim_refuses)
{
	static const char * const bad[] = {
		"\n", " ", "junk", "-1", "-4096", "4096x", "64 M", "1.5M", "64MB", "max 1", "MAX",
		"0x1000", "99999999999999999999", "17E", "4096 4096",
		"64M swappiness=10", "4096 swappiness=0", "max swappiness=1", "swappiness=1",
		"64M nid=0", "0 x",
	};
	static const char * const groups[] = { "t", "t/a", "" };
	size_t i, j;

	for (j = 0; j < ARRAY_SIZE(groups); j++)
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			EXPECT_EQ(-EINVAL, pt_reclaim(groups[j], bad[i])) {
				TH_LOG("\"%s\" to \"%s\" was not refused", bad[i], groups[j]);
			}
		}
}

/* Less than a page: done, by doing nothing. */
TEST_F(group, reclaim_of_nothing)
{
	static const char * const little[] = { "0", "1", "4095", "3K", "0K", "0\n", " 17 \n" };
	int expect = expectation == EXPECT_OFF ? -EOPNOTSUPP : 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(little); i++) {
		EXPECT_EQ(expect, pt_reclaim("t", little[i])) {
			TH_LOG("\"%s\"", little[i]);
		}
		EXPECT_EQ(expect, pt_reclaim("", little[i]));
	}
}

/* Delegation */

TEST_F(group, delegate_lists_reclaim_only)
{
	static char text[8192];
	char *line, *save;
	long ours = 0;

	ASSERT_LT(0, read_text(DELEGATE, text, sizeof(text)));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!starts_with(line, "memory.pt"))
			continue;
		ours++;
		EXPECT_STREQ(PT_RECLAIM, line);
	}
	EXPECT_EQ(1, ours) {
		TH_LOG("%s must list %s", DELEGATE, PT_RECLAIM);
	}
}

/*
 * From inside a cgroup namespace the limits of its root belong to those outside
 * (the hierarchy is mounted with nsdelegate), below it they are free.
 */
TEST_F(group, namespace)
{
	int status = -1, none = expectation == EXPECT_OFF ? -EOPNOTSUPP : 0;
	pid_t pid;

	if (mount(NULL, CG_ROOT, NULL, MS_REMOUNT, "nsdelegate"))
		SKIP(return, "cannot mount with nsdelegate");
	ASSERT_EQ(0, cg_make("t/ns"));
	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (cg_enter("t/ns", 0) || unshare(CLONE_NEWCGROUP))
			_exit(1);
		if (cg_write("t/ns", PT_MAX, "1M") != -EPERM)
			_exit(2);
		if (cg_write("t/ns", PT_HIGH, "1M") != -EPERM)
			_exit(3);
		if (cg_write("t/ns", PT_PEAK, "x") != -EPERM)
			_exit(4);
		if (pt_reclaim("t/ns", "0") != none)
			_exit(5);
		if (cg_number("t/ns", PT_MAX) != NO_LIMIT)
			_exit(6);
		if (cg_make("t/ns/in") || cg_enter("t/ns/in", 0) ||
		    cg_write("t/ns", "cgroup.subtree_control", "+memory"))
			_exit(7);
		if (cg_write("t/ns/in", PT_MAX, "64M") || cg_write("t/ns/in", PT_HIGH, "32M"))
			_exit(8);
		if (cg_number("t/ns/in", PT_MAX) != 64L * MiB)
			_exit(9);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

/* The peak */

static long fd_number(int fd)
{
	char text[64];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = 0;
	return strtol(text, NULL, 10);
}

static int peak_fd(const char *group)
{
	char path[512];

	cg_path(path, sizeof(path), group, PT_PEAK);
	return open(path, O_RDWR | O_CLOEXEC);
}

TEST_F(group, peak)
{
	long full, less, quarter;
	struct cg_child c = { 0 };
	int early, late;

	ASSERT_EQ(0, cg_child_start(&c, "t/a", 4 * TABLES));
	ASSERT_EQ(0, cg_child_do(&c, 'f', 4 * TABLES));
	full = pt_current("t/a");
	EXPECT_LE(4 * TABLES * (long)PAGE, full);
	EXPECT_EQ(full, pt_peak("t/a"));
	EXPECT_EQ(full, pt_peak("t"));
	early = peak_fd("t/a");
	late = peak_fd("t/a");
	ASSERT_LE(0, early);
	ASSERT_LE(0, late);

	/* Everything goes, the peak stays. */
	ASSERT_EQ(0, cg_child_do(&c, 'U', 0));
	less = pt_current("t/a");
	EXPECT_GE(full - 4 * TABLES * (long)PAGE, less);
	EXPECT_EQ(full, fd_number(early));
	EXPECT_EQ(full, fd_number(late));

	/* Nothing written resets nothing, anything written resets this descriptor. */
	EXPECT_EQ(0, pwrite(early, "", 0, 0));
	EXPECT_EQ(full, fd_number(early));
	EXPECT_EQ(5, pwrite(early, "reset", 5, 0));
	EXPECT_EQ(less, fd_number(early));
	EXPECT_EQ(full, fd_number(late));
	EXPECT_EQ(full, pt_peak("t/a"));
	EXPECT_EQ(full, pt_peak("t"));

	/* It follows what comes after. */
	ASSERT_EQ(0, cg_child_do(&c, 'M', 0));
	ASSERT_EQ(0, cg_child_do(&c, 'f', TABLES));
	quarter = pt_current("t/a");
	expect_within(less + TABLES * (long)PAGE, quarter, less + (TABLES + 4) * (long)PAGE,
		      "memory.pt.current after a quarter");
	EXPECT_EQ(quarter, fd_number(early));

	/*
	 * A second one, later: each has its own beginning. As with memory.peak, what
	 * is between the two resets may be lost to the first by the second.
	 */
	ASSERT_EQ(0, cg_child_do(&c, 'U', 0));
	EXPECT_EQ(quarter, fd_number(early));
	EXPECT_EQ(1, pwrite(late, "\n", 1, 0));
	EXPECT_EQ(less, fd_number(late));
	ASSERT_EQ(0, cg_child_do(&c, 'M', 0));
	ASSERT_EQ(0, cg_child_do(&c, 'f', TABLES / 2));
	EXPECT_EQ(pt_current("t/a"), fd_number(late));
	EXPECT_LE(pt_current("t/a"), fd_number(early));
	EXPECT_GT(quarter, fd_number(late));
	ASSERT_EQ(0, cg_child_do(&c, 'f', 2 * TABLES));
	EXPECT_EQ(pt_current("t/a"), fd_number(early));
	EXPECT_EQ(pt_current("t/a"), fd_number(late));
	EXPECT_EQ(full, pt_peak("t/a"));

	/* One goes, the other and the group's stay. */
	close(early);
	EXPECT_LT(less, fd_number(late));
	EXPECT_EQ(full, pt_peak("t/a"));
	close(late);
	cg_child_end(&c);
}

/* --expect-absent is ours; the rest is for everybody, or the harness. */
int main(int argc, char **argv)
{
	int i, n = 1, err;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--expect-absent"))
			expect_absent = true;
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	argc = n;
	err = common_setup(&argc, argv, 0, 1000, 16384);
	if (err)
		return err;
	atexit(common_teardown);
	return test_harness_run(argc, argv);
}
