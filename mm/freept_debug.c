// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim of empty PTE tables: race windows held open
 *
 * Between what the engine, or a walker, sees without a lock and what it does
 * about it lie a few instructions, in which a test seldom meets anybody.  On a
 * kernel that is to be attacked, they can be made to take longer, at random:
 *
 *	freept/delay_us	stay for so many microseconds at the most; 0, the
 *			default, is as if all this was not there
 *	freept/chance	once in so many times
 *	freept/windows	for each window: how often it was entered, how often the
 *			stay was prolonged, and how often that which was seen before
 *			had changed in the end; any write sets all to 0
 *
 * in debugfs.  The third figure tells whether a test attacks anything: it is a
 * race that was run.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/seq_file.h>

#include "freept.h"
#include "freept_debug.h"

/* No stay is longer: locks may be held */
#define FREEPT_DEBUG_DELAY_MAX	1000

unsigned int freept_debug_delay_us;
static unsigned int freept_debug_chance = 16;

static const char * const freept_window_name[NR_FREEPT_WINDOWS] = {
	[FREEPT_WINDOW_FOUND]		= "found",
	[FREEPT_WINDOW_UNMARKED]	= "unmarked",
	[FREEPT_WINDOW_EMPTY]		= "empty",
	[FREEPT_WINDOW_LOOKED]		= "looked",
	[FREEPT_WINDOW_UNLINKED]	= "unlinked",
	[FREEPT_WINDOW_FLUSHED]		= "flushed",
	[FREEPT_WINDOW_REMOVED]		= "removed",
	[FREEPT_WINDOW_WALKER]		= "walker",
};

struct freept_window_count {
	unsigned long entered;
	unsigned long delayed;
	unsigned long changed;
};

/* By CPU: a line that all write would be a barrier, and hide races */
static DEFINE_PER_CPU(struct freept_window_count, freept_window_counts[NR_FREEPT_WINDOWS]);

void __freept_window(enum freept_window window, pmd_t *pmd, pmd_t seen)
{
	unsigned int delay = min(READ_ONCE(freept_debug_delay_us), FREEPT_DEBUG_DELAY_MAX);
	unsigned int chance = max(READ_ONCE(freept_debug_chance), 1);

	this_cpu_inc(freept_window_counts[window].entered);
	if (delay && !get_random_u32_below(chance)) {
		this_cpu_inc(freept_window_counts[window].delayed);
		udelay(1 + get_random_u32_below(delay));
	}
	if (pmd && !pmd_same(seen, pmdp_get_lockless(pmd)))
		__freept_window_changed(window);
}

void __freept_window_changed(enum freept_window window)
{
	this_cpu_inc(freept_window_counts[window].changed);
}

static int freept_windows_show(struct seq_file *m, void *v)
{
	enum freept_window window;
	int cpu;

	for (window = 0; window < NR_FREEPT_WINDOWS; window++) {
		struct freept_window_count sum = { };

		for_each_possible_cpu(cpu) {
			struct freept_window_count *one =
				per_cpu_ptr(&freept_window_counts[window], cpu);

			sum.entered += READ_ONCE(one->entered);
			sum.delayed += READ_ONCE(one->delayed);
			sum.changed += READ_ONCE(one->changed);
		}
		seq_printf(m, "%s %lu %lu %lu\n", freept_window_name[window],
			   sum.entered, sum.delayed, sum.changed);
	}
	return 0;
}

static int freept_windows_open(struct inode *inode, struct file *file)
{
	return single_open(file, freept_windows_show, NULL);
}

static ssize_t freept_windows_write(struct file *file, const char __user *buf,
				    size_t len, loff_t *ppos)
{
	int cpu;

	for_each_possible_cpu(cpu)
		memset(per_cpu_ptr(freept_window_counts, cpu), 0,
		       sizeof(freept_window_counts));
	return len;
}

static const struct file_operations freept_windows_fops = {
	.owner		= THIS_MODULE,
	.open		= freept_windows_open,
	.read		= seq_read,
	.write		= freept_windows_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

static int __init freept_debug_init(void)
{
	struct dentry *dir = freept_debugfs();

	debugfs_create_u32("delay_us", 0600, dir, &freept_debug_delay_us);
	debugfs_create_u32("chance", 0600, dir, &freept_debug_chance);
	debugfs_create_file("windows", 0600, dir, NULL, &freept_windows_fops);
	return 0;
}
late_initcall(freept_debug_init);
