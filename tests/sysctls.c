// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm.freept, vm.freept_scan_delay_ms, vm.freept_scan_size_mb: defaults, both
 * ends of each range, and what must be refused with the old value kept.
 * --expect-off runs the same: with freept=off the settings are accepted.
 */
#include "common.h"

FIXTURE(range) {
	long before;
};

FIXTURE_VARIANT(range) {
	const char *file;
	long min, max, def;
};

FIXTURE_VARIANT_ADD(range, freept) {
	.file = VM_FREEPT, .min = 0, .max = 2, .def = 1,
};

FIXTURE_VARIANT_ADD(range, delay_ms) {
	.file = VM_DELAY, .min = 10, .max = 3600000, .def = 1000,
};

FIXTURE_VARIANT_ADD(range, size_mb) {
	.file = VM_SIZE, .min = 2, .max = SIZE_MAX_MB, .def = 16384,
};

FIXTURE_SETUP(range)
{
	if (expectation == EXPECT_STOCK)
		SKIP(return, "a stock kernel has no vm.freept");
	self->before = read_long(variant->file);
}

FIXTURE_TEARDOWN(range)
{
	if (expectation != EXPECT_STOCK)
		write_long(variant->file, self->before);
}

/* Main changes nothing before the tests run: a fresh machine has these. */
TEST_F(range, default_value)
{
	EXPECT_EQ(variant->def, read_long(variant->file));
}

TEST_F(range, accepts_its_ends)
{
	const long good[] = {
		variant->min, variant->max, variant->min + 1, variant->max - 1, variant->def,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		EXPECT_EQ(0, write_long(variant->file, good[i]));
		EXPECT_EQ(good[i], read_long(variant->file));
	}
}

/* With a line end, and spaces, as a shell writes it. */
TEST_F(range, accepts_what_a_shell_writes)
{
	char text[64];

	snprintf(text, sizeof(text), "%ld\n", variant->max);
	EXPECT_EQ(0, write_text(variant->file, text));
	EXPECT_EQ(variant->max, read_long(variant->file));
	snprintf(text, sizeof(text), "  %ld \n", variant->min);
	EXPECT_EQ(0, write_text(variant->file, text));
	EXPECT_EQ(variant->min, read_long(variant->file));
}

TEST_F(range, refuses_what_is_out_of_range)
{
	const long bad[] = {
		variant->min - 1, variant->max + 1, -1, -variant->max, 1L << 31, 1L << 32,
		(1L << 32) + variant->min, INT64_MAX, INT64_MIN,
	};
	size_t i;

	ASSERT_EQ(0, write_long(variant->file, variant->def));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, write_long(variant->file, bad[i])) {
			TH_LOG("%ld was taken for %s", bad[i], variant->file);
		}
		EXPECT_EQ(variant->def, read_long(variant->file));
	}
}

TEST_F(range, refuses_junk)
{
	static const char * const bad[] = {
		"junk", "1x", "x1", "2.5", "1,2", "--1", "99999999999999999999999", "\n", " ", "-",
	};
	size_t i;

	ASSERT_EQ(0, write_long(variant->file, variant->def));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, write_text(variant->file, bad[i])) {
			TH_LOG("\"%s\" was taken for %s", bad[i], variant->file);
		}
		EXPECT_EQ(variant->def, read_long(variant->file));
	}
}

/* A write of nothing changes nothing. */
TEST_F(range, empty_write_keeps_the_value)
{
	ASSERT_EQ(0, write_long(variant->file, variant->max));
	write_text(variant->file, "");
	EXPECT_EQ(variant->max, read_long(variant->file));
}

TEST_F(range, only_root_writes)
{
	int status = -1;
	struct stat st;
	pid_t pid;

	ASSERT_EQ(0, stat(variant->file, &st));
	EXPECT_EQ(0644, st.st_mode & 07777);
	pid = fork_child();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(2);
		_exit(write_long(variant->file, variant->def) == -EACCES &&
		      read_long(variant->file) >= 0 ? 0 : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

int main(int argc, char **argv)
{
	int err = common_setup(&argc, argv, -1, 0, 0);

	return err ? err : test_harness_run(argc, argv);
}
