// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptfree watch: a line for each thing that happens to a budget
 *
 * The kernel notifies memory.pt.events.local; an event is there once, in the
 * cgroup that it happened to. inotify watches these files, and the folders for
 * cgroups that come and go, also above the targets: the cgroup of a unit is made
 * anew when it is started again. What a cgroup has counted before its first look is
 * not told, unless it has come meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "ptfree.h"

#define EVENTS_FILE	"memory.pt.events.local"
#define NR_EVENTS	4
#define FOLDER_EVENTS	(IN_CREATE | IN_DELETE | IN_ONLYDIR)
/* A controller that is switched on for a cgroup adds its files without an event. */
#define LATE_FILES_MS	10000

static const char *const event_names[NR_EVENTS] = { "high", "max", "oom", "oom_kill" };

struct watched {
	char *cgroup;
	int dir, file;		/* inotify's numbers, -1 without */
	uint64_t count[NR_EVENTS];
};

/* A folder above a target, which may go and come again, as units do. */
struct guard {
	char *cgroup;
	int dir;
};

struct watcher {
	struct watched *w;
	struct guard *guards;
	char **tops;
	size_t nr, nr_guards, nr_tops;
	int inotify;
	bool running;		/* what appears now is new */
	bool json;
	unsigned long left;	/* lines to print, 0: any number */
};

static bool read_counts(const char *cgroup, uint64_t count[NR_EVENTS])
{
	char *path = cgroup_file(cgroup, EVENTS_FILE);
	char *text = read_text(path, NULL);
	int i;

	free(path);
	if (!text)
		return false;
	for (i = 0; i < NR_EVENTS; i++)
		count[i] = key_value(text, event_names[i]);
	free(text);
	return true;
}

static void line(struct watcher *w, const char *cgroup, const char *event,
		 uint64_t more, uint64_t total)
{
	time_t now = time(NULL);
	char stamp[64], *name;

	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S%z", localtime(&now));
	if (w->json) {
		json_print(json_pack("{ss so ss sI sI}", "time", stamp,
				     "cgroup", json_text(cgroup), "event", event,
				     "count", (json_int_t)more, "total", (json_int_t)total),
			   false);
	} else {
		name = printable_copy(cgroup);
		printf("%s %s %s +%llu (%llu)\n", stamp, name, event,
		       (unsigned long long)more, (unsigned long long)total);
		free(name);
	}
	finish_output();
	if (w->left && !--w->left)
		exit(CODE_OK);
}

static void check(struct watcher *w, struct watched *g)
{
	uint64_t count[NR_EVENTS];
	int i;

	if (!read_counts(g->cgroup, count))
		return;
	for (i = 0; i < NR_EVENTS; i++) {
		uint64_t more = count[i] - g->count[i];

		/* First the count: line() may be the end. */
		g->count[i] = count[i];
		if (more)
			line(w, g->cgroup, event_names[i], more, count[i]);
	}
}

static struct watched *find(struct watcher *w, const char *cgroup)
{
	size_t i;

	for (i = 0; i < w->nr; i++)
		if (!strcmp(w->w[i].cgroup, cgroup))
			return &w->w[i];
	return NULL;
}

static int watch_path(struct watcher *w, const char *cgroup, const char *file, uint32_t mask)
{
	char *path = cgroup_file(cgroup, file);
	int wd = inotify_add_watch(w->inotify, path, mask);

	if (wd < 0 && errno == ENOSPC)
		die(CODE_SYSTEM, "%s: no more inotify watches; raise "
		    "/proc/sys/fs/inotify/max_user_watches", path);
	free(path);
	return wd;
}

static void watch_group(const char *cgroup, void *arg)
{
	struct watcher *w = arg;
	struct watched *g = find(w, cgroup);
	int dir = watch_path(w, cgroup, "", FOLDER_EVENTS);

	if (!g) {
		w->w = array_grow(w->w, w->nr);
		g = &w->w[w->nr++];
		*g = (struct watched) { .cgroup = xstrdup(cgroup), .file = -1, .dir = dir };
	}
	/*
	 * inotify has one number for a folder. Another one: this cgroup was made anew,
	 * and the queue was too full to tell of it.
	 */
	if (g->dir != dir) {
		g->dir = dir;
		g->file = -1;
		memset(g->count, 0, sizeof(g->count));
	}
	if (g->file >= 0)
		return;
	/* Watched before it is read: what comes in between is seen twice, not missed. */
	g->file = watch_path(w, cgroup, EVENTS_FILE, IN_MODIFY);
	if (g->file < 0)
		return;
	if (w->running)
		check(w, g);
	else
		read_counts(cgroup, g->count);
}

static void forget_at(struct watcher *w, size_t i)
{
	free(w->w[i].cgroup);
	w->w[i] = w->w[--w->nr];
}

/* Cgroups that have gone without our being told */
static void forget_gone(struct watcher *w)
{
	size_t i;

	for (i = w->nr; i--;)
		if (!cgroup_exists(w->w[i].cgroup))
			forget_at(w, i);
}

/* The cgroup is gone, and all that was below. */
static void forget(struct watcher *w, const char *cgroup)
{
	size_t i;

	/* The kernel has taken the watches away with the folder. */
	for (i = w->nr; i--;)
		if (cgroup_below(w->w[i].cgroup, cgroup))
			forget_at(w, i);
}

static void guard(struct watcher *w, const char *cgroup)
{
	struct guard *g = NULL;
	size_t i;

	for (i = 0; i < w->nr_guards && !g; i++)
		if (!strcmp(w->guards[i].cgroup, cgroup))
			g = &w->guards[i];
	if (!g) {
		w->guards = array_grow(w->guards, w->nr_guards);
		g = &w->guards[w->nr_guards++];
		g->cgroup = xstrdup(cgroup);
	}
	/* the same number again where it is still there */
	g->dir = watch_path(w, cgroup, "", FOLDER_EVENTS);
}

/* From the root down: what is created behind our back is seen by the next step. */
static void watch_top(struct watcher *w, const char *top)
{
	char *above = xstrdup(top);
	size_t i, len = strlen(top);

	if (strcmp(top, "/")) {
		guard(w, "/");
		for (i = 1; i < len; i++) {
			if (top[i] != '/')
				continue;
			above[i] = 0;
			guard(w, above);
			above[i] = '/';
		}
	}
	free(above);
	cgroup_walk(top, watch_group, w);
}

static void take_guarded(struct watcher *w, const struct inotify_event *ev)
{
	char *below;
	size_t i;

	for (i = 0; i < w->nr_guards; i++)
		if (w->guards[i].dir == ev->wd)
			break;
	if (i == w->nr_guards || !(ev->mask & IN_ISDIR))
		return;
	below = xasprintf("%s/%s", strcmp(w->guards[i].cgroup, "/") ? w->guards[i].cgroup : "",
			  ev->name);
	for (i = 0; i < w->nr_tops; i++) {
		if (!cgroup_below(w->tops[i], below))
			continue;
		if (ev->mask & IN_DELETE)
			forget(w, below);
		else if (ev->mask & IN_CREATE)
			watch_top(w, w->tops[i]);
	}
	free(below);
}

static void take(struct watcher *w, const struct inotify_event *ev)
{
	char *below;
	size_t i;

	for (i = 0; i < w->nr; i++) {
		struct watched *g = &w->w[i];

		if (g->file == ev->wd && (ev->mask & IN_MODIFY)) {
			check(w, g);
			return;
		}
		if (g->file == ev->wd && (ev->mask & IN_IGNORED)) {
			g->file = -1;
			return;
		}
		if (g->dir != ev->wd || !(ev->mask & IN_ISDIR))
			continue;
		below = xasprintf("%s/%s", strcmp(g->cgroup, "/") ? g->cgroup : "", ev->name);
		/* In the order of the queue: it may come again under the same name. */
		if (ev->mask & IN_DELETE)
			forget(w, below);
		else if (ev->mask & IN_CREATE)
			cgroup_walk(below, watch_group, w);
		free(below);
		return;
	}
	take_guarded(w, ev);
}

static void watch_tops(struct watcher *w)
{
	size_t i;

	for (i = 0; i < w->nr_tops; i++)
		watch_top(w, w->tops[i]);
}

static void take_all(struct watcher *w)
{
	char buf[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(w->inotify, buf, sizeof(buf));
	char *p;
	size_t i;

	if (n < 0 && errno != EINTR && errno != EAGAIN)
		die(CODE_SYSTEM, "inotify: %s", strerror(errno));
	for (p = buf; p < buf + n;) {
		const struct inotify_event *ev = (const void *)p;

		p += sizeof(*ev) + ev->len;
		if (!(ev->mask & IN_Q_OVERFLOW)) {
			take(w, ev);
			continue;
		}
		/* Some were lost: look at everything. */
		forget_gone(w);
		watch_tops(w);
		for (i = 0; i < w->nr; i++)
			check(w, &w->w[i]);
	}
}

/* Those that had none when they were looked at last may have it now. */
static void watch_late_files(struct watcher *w)
{
	size_t i;

	for (i = 0; i < w->nr; i++)
		if (w->w[i].file < 0)
			watch_group(w->w[i].cgroup, w);
}

static bool all_have_files(const struct watcher *w)
{
	size_t i;

	for (i = 0; i < w->nr; i++)
		if (w->w[i].file < 0 && strcmp(w->w[i].cgroup, "/"))
			return false;
	return true;
}

int cmd_watch(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'n' },
		{ "timeout", required_argument, NULL, 't' },
		{ "user", no_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	double timeout = 0, end;
	struct watcher w = {};
	bool user = false;
	struct feature f;
	int opt;

	while ((opt = getopt_long(argc, argv, "n:t:ujh", options, NULL)) != -1) {
		switch (opt) {
		case 'n':
			w.left = parse_count("--count", optarg, 1000000000);
			break;
		case 't':
			timeout = parse_seconds("--timeout", optarg, 0.001);
			break;
		case 'u':
			user = true;
			break;
		case 'j':
			w.json = true;
			break;
		case 'h':
			command_help(argv[0]);
		default:
			usage_error(argv[0]);
		}
	}
	feature_read(&f);
	if (!f.files)
		die(CODE_FEATURE, "%s", f.reason);
	w.inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w.inotify < 0)
		die(CODE_SYSTEM, "inotify: %s", strerror(errno));
	do {
		w.tops = array_grow(w.tops, w.nr_tops);
		w.tops[w.nr_tops++] = optind < argc ? target_cgroup(argv[optind], user) :
			xstrdup("/");
	} while (++optind < argc);
	watch_tops(&w);
	w.running = true;

	end = now_seconds() + timeout;
	for (;;) {
		struct pollfd p = { .fd = w.inotify, .events = POLLIN };
		int ms = all_have_files(&w) ? -1 : LATE_FILES_MS;
		double left = end - now_seconds();

		if (timeout && left <= 0)
			return CODE_NO;
		if (timeout && (ms < 0 || left * 1000 < ms))
			ms = left * 1000 + 1;
		if (poll(&p, 1, ms) > 0)
			take_all(&w);
		else
			watch_late_files(&w);
	}
}
