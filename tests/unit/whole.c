/* SPDX-License-Identifier: MIT */
/*
 * Files that are there when they are whole.  Every system call that makes one
 * fails in turn, and every signal comes in the middle of one; the folder is
 * looked at afterwards.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files/whole.h"
#include "tests/tap.h"

#define BYTES	10000
#define MODE	0640
#define NOBODY	65534

/* ---- the calls between, which the linker gives us: --wrap ---- */

int __real_openat64(int folder, const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...);
int __real_linkat(int from, const char *path, int to, const char *name,
		  int flags);
int __wrap_linkat(int from, const char *path, int to, const char *name,
		  int flags);
int __real_renameat(int from, const char *path, int to, const char *name);
int __wrap_renameat(int from, const char *path, int to, const char *name);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_write(int fd, const void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t count, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t count, off_t at);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);

static bool nameless = true;	/* are there files without a name? */
static unsigned fail_at;	/* which call fails; 0: none */
static unsigned calls;
static char order[64];		/* of calls, a letter each */
static unsigned link_exists;	/* so many names are others' */

static bool fails(char letter)
{
	size_t count = strlen(order);

	if (count + 1 < sizeof(order)) {
		order[count] = letter;
		order[count + 1] = '\0';
	}
	if (++calls != fail_at)
		return false;
	errno = EIO;
	return true;
}

int __wrap_openat64(int folder, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	if ((flags & O_TMPFILE) == O_TMPFILE && !nameless) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return fails('o') ? -1 : __real_openat64(folder, path, flags, mode);
}

int __wrap_linkat(int from, const char *path, int to, const char *name,
		  int flags)
{
	if (link_exists) {
		link_exists--;
		errno = EEXIST;
		return -1;
	}
	return fails('l') ? -1 : __real_linkat(from, path, to, name, flags);
}

int __wrap_renameat(int from, const char *path, int to, const char *name)
{
	return fails('r') ? -1 : __real_renameat(from, path, to, name);
}

int __wrap_fsync(int fd)
{
	struct stat status;

	if (!fstat(fd, &status) && S_ISDIR(status.st_mode))
		return fails('F') ? -1 : __real_fsync(fd);
	return fails('f') ? -1 : __real_fsync(fd);
}

/* Never all of it at once. */
ssize_t __wrap_write(int fd, const void *bytes, size_t count)
{
	return fails('w') ? -1 :
	       __real_write(fd, bytes, count > 4000 ? 4000 : count);
}

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t count, off_t at)
{
	return fails('p') ? -1 :
	       __real_pwrite64(fd, bytes, count > 4000 ? 4000 : count, at);
}

int __wrap_fchmod(int fd, mode_t mode)
{
	return fails('m') ? -1 : __real_fchmod(fd, mode);
}

/* ---- a folder to work in ---- */

static char folder[] = "/tmp/coldframe-whole-XXXXXX";
static char bytes[BYTES];

static void at_rest(bool can)
{
	nameless = can;
	fail_at = calls = link_exists = 0;
	order[0] = '\0';
}

static void put(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(name, "w");

	if (!file)
		return;
	(void)fputs(text, file);
	(void)fclose(file);
	(void)chmod(name, mode);
}

/* 'w' what is written here, 'o' what put() put there, '-' none, '?' else. */
static char what_is(const char *name)
{
	char found[BYTES + 1];
	int fd = open(name, O_RDONLY);
	ssize_t got;

	if (fd < 0)
		return '-';
	got = read(fd, found, sizeof(found));
	(void)close(fd);
	if (got == BYTES && !memcmp(found, bytes, BYTES))
		return 'w';
	return got == 3 && !memcmp(found, "old", 3) ? 'o' : '?';
}

static unsigned names_in(const char *path)
{
	DIR *names = opendir(path);
	unsigned count = 0;

	while (names && readdir(names))
		count++;
	if (names)
		(void)closedir(names);
	return count - 2;
}

static mode_t mode_of(const char *name)
{
	struct stat status;

	return lstat(name, &status) ? 0 : status.st_mode & 07777;
}

static int fill(struct whole *file)
{
	if (whole_write(file, bytes, BYTES / 2))
		return -1;
	if (file->direct)
		return whole_write(file, bytes + BYTES / 2, BYTES / 2);
	return whole_write_at(file, BYTES / 2, bytes + BYTES / 2, BYTES / 2);
}

/* The errno it ends with. */
static int make(const char *path)
{
	struct whole file;

	errno = 0;
	if (whole_open(&file, path, STDOUT_FILENO, MODE))
		return errno;
	if (fill(&file)) {
		whole_cancel(&file);
		return errno;
	}
	return whole_commit(&file) ? errno : 0;
}

static unsigned open_fds(void)
{
	return names_in("/proc/self/fd");
}

/* ---- tests ---- */

static void new_and_old(void)
{
	unsigned fds = open_fds(), i;

	for (i = 0; i < 2; i++) {
		at_rest(i == 0);
		CHECK_EQ(make("new"), 0);
		CHECK_EQ(what_is("new"), 'w');
		CHECK_EQ(mode_of("new"), 0640 & ~022);
		put("old", "old", 0604);
		CHECK_EQ(make("old"), 0);
		CHECK_EQ(what_is("old"), 'w');
		CHECK_EQ(mode_of("old"), 0604);
		CHECK_EQ(names_in("."), 2);
		(void)unlink("new");
		(void)unlink("old");
	}
	CHECK_EQ(open_fds(), fds);
}

static void less_than_umask(void)
{
	unsigned i;

	for (i = 0; i < 2; i++) {
		at_rest(i == 0);
		(void)umask(0077);
		CHECK_EQ(make("new"), 0);
		CHECK_EQ(mode_of("new"), 0600);
		(void)umask(0022);
		(void)unlink("new");
	}
}

static void cancelled(void)
{
	struct whole file;
	unsigned i;

	for (i = 0; i < 2; i++) {
		at_rest(i == 0);
		CHECK_EQ(whole_open(&file, "new", 1, MODE), 0);
		CHECK_EQ(fill(&file), 0);
		CHECK_EQ(what_is("new"), '-');
		CHECK_EQ(names_in("."), i);
		errno = EXDEV;
		whole_cancel(&file);
		CHECK_EQ(errno, EXDEV);
		CHECK_EQ(names_in("."), 0);
	}
}

/* All is on the disk before there is a name, and then the name is. */
static void in_order(void)
{
	at_rest(true);
	CHECK_EQ(make("new"), 0);
	CHECK(!strcmp(order, "owwppflF"));
	at_rest(true);
	CHECK_EQ(make("new"), 0);
	CHECK(!strcmp(order, "owwppmfllrF"));
	at_rest(false);
	CHECK_EQ(make("new"), 0);
	CHECK(!strcmp(order, "owwppmfrF"));
	(void)unlink("new");
}

/* Each call in turn, in each way; @old: was there one before? */
static void fail_each(bool can, bool old)
{
	unsigned fds = open_fds(), at, names;
	int err;

	for (at = 1; at < 40; at++) {
		at_rest(can);
		if (old)
			put("it", "old", 0600);
		fail_at = at;
		err = make("it");
		names = names_in(".");
		CHECK_EQ(open_fds(), fds);
		if (calls < at) {
			CHECK_EQ(err, 0);
			break;
		}
		CHECK_EQ(err, EIO);
		if (order[strlen(order) - 1] == 'F') {
			/* It has its name; only that is not on the disk. */
			CHECK_EQ(what_is("it"), 'w');
			CHECK_EQ(names, 1);
		} else {
			CHECK_EQ(what_is("it"), old ? 'o' : '-');
			CHECK_EQ(names, old);
		}
		(void)unlink("it");
	}
	CHECK(at > 6);
	(void)unlink("it");
}

static void each_call_fails(void)
{
	fail_each(true, false);
	fail_each(true, true);
	fail_each(false, false);
	fail_each(false, true);
}

static void names_of_others(void)
{
	at_rest(true);
	put("it", "old", 0600);
	link_exists = 3;
	CHECK_EQ(make("it"), 0);
	CHECK_EQ(what_is("it"), 'w');
	at_rest(true);
	link_exists = 1000;
	CHECK_EQ(make("it"), EEXIST);
	CHECK_EQ(what_is("it"), 'w');
	CHECK_EQ(names_in("."), 1);
	(void)unlink("it");
}

static void links(void)
{
	at_rest(true);
	(void)mkdir("there", 0700);
	put("there/old", "old", 0600);
	CHECK_EQ(symlink("there/old", "one"), 0);
	CHECK_EQ(symlink("../one", "there/two"), 0);
	CHECK_EQ(make("there/two"), 0);
	CHECK_EQ(what_is("there/old"), 'w');
	CHECK_EQ(names_in("."), 2);
	put("there/old", "old", 0600);
	CHECK_EQ(what_is("there/two"), 'o');

	/* What a link leads to is made where it leads. */
	(void)unlink("there/old");
	CHECK_EQ(make("there/two"), 0);
	CHECK_EQ(what_is("there/old"), 'w');
	CHECK_EQ(names_in("there"), 2);

	CHECK_EQ(symlink("round", "round"), 0);
	CHECK_EQ(make("round"), ELOOP);
	(void)unlink("round");
	CHECK_EQ(symlink("none/x", "astray"), 0);
	CHECK_EQ(make("astray"), ENOENT);
	(void)unlink("astray");
	(void)unlink("one");
	(void)unlink("there/old");
	(void)unlink("there/two");
	(void)rmdir("there");
}

static void links_stay(void)
{
	struct stat status;

	at_rest(true);
	put("old", "old", 0600);
	CHECK_EQ(symlink("old", "link"), 0);
	CHECK_EQ(make("link"), 0);
	CHECK(!lstat("link", &status) && S_ISLNK(status.st_mode));
	CHECK(!lstat("old", &status) && S_ISREG(status.st_mode));
	(void)unlink("old");
	(void)unlink("link");
}

static void refused(void)
{
	char name[NAME_MAX + 2];

	at_rest(true);
	CHECK_EQ(make(""), ENOENT);
	CHECK_EQ(make("."), EISDIR);
	CHECK_EQ(make("none/"), EISDIR);
	CHECK_EQ(make("none/x"), ENOENT);
	memset(name, 'n', sizeof(name));
	name[NAME_MAX + 1] = '\0';
	CHECK_EQ(make(name), ENAMETOOLONG);
	CHECK_EQ(names_in("."), 0);
}

static void long_names(void)
{
	char name[NAME_MAX + 1];
	unsigned i;

	memset(name, 'n', sizeof(name));
	name[NAME_MAX] = '\0';
	for (i = 0; i < 2; i++) {
		at_rest(i == 0);
		CHECK_EQ(make(name), 0);
		CHECK_EQ(make(name), 0);
		CHECK_EQ(what_is(name), 'w');
		(void)unlink(name);
	}
}

/* What @child returns, when it is another user or the same. */
static int in_child(int (*child)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		if (!geteuid() && (setgid(NOBODY) || setuid(NOBODY)))
			_exit(99);
		_exit(child());
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ?
	       WEXITSTATUS(status) : -1;
}

static int make_it(void)
{
	return make("it");
}

static void write_protected(void)
{
	at_rest(true);
	(void)chmod(folder, 0777);
	put("it", "old", 0444);
	CHECK_EQ(in_child(make_it), EACCES);
	CHECK_EQ(what_is("it"), 'o');
	/* Only who made it can give its mode, and nobody asks for more. */
	(void)chmod("it", 0666);
	CHECK_EQ(in_child(make_it), 0);
	CHECK_EQ(what_is("it"), 'w');
	CHECK_EQ(mode_of("it"), 0666);
	(void)chmod(folder, 0700);
	(void)unlink("it");
}

static void owner_stays(void)
{
	struct stat status;

	at_rest(true);
	if (geteuid()) {
		tap_skip_this("only root gives files away");
		return;
	}
	put("it", "old", 0600);
	CHECK_EQ(chown("it", NOBODY, NOBODY), 0);
	CHECK_EQ(make("it"), 0);
	CHECK_EQ(what_is("it"), 'w');
	CHECK(!stat("it", &status) && status.st_uid == NOBODY &&
	      status.st_gid == NOBODY && (status.st_mode & 0777) == 0600);
	(void)unlink("it");
}

/* What comes out of @fd is what was written, and nothing else. */
static void check_stream(int fd)
{
	char found[BYTES + 1];
	size_t got = 0;
	ssize_t did;

	while (got < sizeof(found) &&
	       (did = read(fd, found + got, sizeof(found) - got)) > 0)
		got += (size_t)did;
	CHECK_EQ(got, BYTES);
	CHECK(!memcmp(found, bytes, BYTES));
	(void)close(fd);
}

static void pipes(void)
{
	struct stat status;
	int fd;

	at_rest(true);
	CHECK_EQ(mkfifo("pipe", 0600), 0);
	CHECK_EQ(symlink("pipe", "link"), 0);
	fd = open("pipe", O_RDONLY | O_NONBLOCK);
	CHECK_EQ(make("link"), 0);
	check_stream(fd);
	CHECK(!lstat("pipe", &status) && S_ISFIFO(status.st_mode));
	CHECK_EQ(names_in("."), 2);
	(void)unlink("pipe");
	(void)unlink("link");
	CHECK_EQ(make("/dev/null"), 0);
	CHECK_EQ(make("/dev/full"), ENOSPC);
	CHECK(!lstat("/dev/full", &status) && S_ISCHR(status.st_mode));
}

/* Standard output is a file in @way: its path is not replaced. */
static int to_stdout(const char *way)
{
	pid_t pid = fork();
	int status, fd;

	if (!pid) {
		fd = open("out", O_RDWR | O_CREAT | O_TRUNC, 0600);
		if (__real_write(fd, "old", 3) != 3 ||
		    dup2(fd, STDOUT_FILENO) < 0)
			_exit(1);
		_exit(!whole_is_stdout(way) || make(way) != 0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		return -1;
	fd = open("out", O_RDONLY);
	if (lseek(fd, 3, SEEK_SET) != 3)
		return -1;
	check_stream(fd);
	CHECK_EQ(names_in("."), 1);
	(void)unlink("out");
	return 0;
}

static void standard_output(void)
{
	at_rest(true);
	CHECK_EQ(to_stdout("-"), 0);
	CHECK_EQ(to_stdout("/dev/stdout"), 0);
	CHECK_EQ(to_stdout("/dev/fd/1"), 0);
	CHECK_EQ(to_stdout("/proc/self/fd/1"), 0);
	CHECK(!whole_is_stdout("/dev/stderr"));
	CHECK(!whole_is_stdout("/dev/null"));
	CHECK(!whole_is_stdout("1"));
}

/* A file that no name leads to, of this process and of another. */
static void in_memory(void)
{
	int fd = memfd_create("whole", 0);
	char path[64];
	struct stat status;

	at_rest(true);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_EQ(make(path), 0);
	CHECK(!fstat(fd, &status) && status.st_size == BYTES);
	(void)snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)getpid(),
		       fd);
	at_rest(true);
	if (!fork())
		_exit(make(path) != 0);
	(void)wait(NULL);
	CHECK(!fstat(fd, &status) && status.st_size == BYTES);
	(void)close(fd);
}

/* A process that a signal ends in the middle: its wait status. */
static int end_in_the_middle(int number, void (*before)(int))
{
	struct whole file;
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		(void)signal(number, before);
		if (whole_open(&file, "it", 1, MODE) || fill(&file))
			_exit(90);
		(void)raise(number);
		_exit(whole_commit(&file) ? 91 : 0);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void signals(void)
{
	static const int number[] = {
		SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1,
		SIGUSR2, SIGXCPU, SIGXFSZ,
	};
	unsigned i, can;
	int status;

	for (i = 0; i < sizeof(number) / sizeof(number[0]); i++) {
		for (can = 0; can < 2; can++) {
			at_rest(can);
			put("it", "old", 0600);
			status = end_in_the_middle(number[i], SIG_DFL);
			CHECK(WIFSIGNALED(status));
			CHECK_EQ(WTERMSIG(status), number[i]);
			CHECK_EQ(what_is("it"), 'o');
			CHECK_EQ(names_in("."), 1);
		}
		/* Who ignores it is not ended by it. */
		at_rest(false);
		CHECK_EQ(end_in_the_middle(number[i], SIG_IGN), 0);
		CHECK_EQ(what_is("it"), 'w');
		CHECK_EQ(names_in("."), 1);
		(void)unlink("it");
	}
}

static void kills(void)
{
	at_rest(true);
	put("it", "old", 0600);
	CHECK_EQ(end_in_the_middle(SIGKILL, SIG_DFL), SIGKILL);
	CHECK_EQ(what_is("it"), 'o');
	CHECK_EQ(names_in("."), 1);
	(void)unlink("it");
}

/* A process that comes from this one does not take its files away. */
static void children(void)
{
	struct whole file;
	pid_t pid;

	at_rest(false);
	CHECK_EQ(whole_open(&file, "it", 1, MODE), 0);
	pid = fork();
	if (!pid) {
		(void)raise(SIGTERM);
		_exit(1);
	}
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK_EQ(names_in("."), 1);
	CHECK_EQ(fill(&file), 0);
	CHECK_EQ(whole_commit(&file), 0);
	CHECK_EQ(what_is("it"), 'w');
	(void)unlink("it");
}

static void handlers_go(void)
{
	struct sigaction now;
	struct whole file;

	at_rest(false);
	CHECK_EQ(whole_open(&file, "it", 1, MODE), 0);
	CHECK(!sigaction(SIGTERM, NULL, &now) && now.sa_handler != SIG_DFL);
	whole_cancel(&file);
	CHECK(!sigaction(SIGTERM, NULL, &now) && now.sa_handler == SIG_DFL);
}

static void many(void)
{
	struct whole file[20];
	char name[16];
	int i, opened = 0, err = 0;

	at_rest(false);
	for (i = 0; i < 20 && !err; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		err = whole_open(&file[i], name, 1, MODE) ? errno : 0;
		opened += !err;
	}
	CHECK_EQ(err, ENFILE);
	CHECK_EQ(opened, 16);
	CHECK_EQ(names_in("."), 16);
	for (i = 0; i < opened; i++)
		whole_cancel(&file[i]);
	CHECK_EQ(names_in("."), 0);
	CHECK_EQ(make("it"), 0);
	(void)unlink("it");
}

static void run_tests(void)
{
	tap_run("new files and old ones", new_and_old);
	tap_run("a new file's mode is less what umask takes", less_than_umask);
	tap_run("a file that is given up", cancelled);
	tap_run("flushed, named, and the folder flushed", in_order);
	tap_run("each call fails in turn", each_call_fails);
	tap_run("names that others have", names_of_others);
	tap_run("links are written through", links);
	tap_run("a link stays one", links_stay);
	tap_run("paths that are refused", refused);
	tap_run("the longest names", long_names);
	tap_run("what may not be written is not replaced", write_protected);
	tap_run("an owner stays the owner", owner_stays);
	tap_run("pipes and devices are written as they are", pipes);
	tap_run("standard output by all its names", standard_output);
	tap_run("files without any name", in_memory);
	tap_run("signals leave nothing behind", signals);
	tap_run("a kill leaves nothing behind", kills);
	tap_run("children leave it alone", children);
	tap_run("handlers go with the last file", handlers_go);
	tap_run("more files than are taken away", many);
}

int main(void)
{
	size_t i;

	for (i = 0; i < BYTES; i++)
		bytes[i] = (char)(i * 7 + i / 256);
	if (!mkdtemp(folder) || chdir(folder)) {
		printf("Bail out! no folder to work in\n");
		return 1;
	}
	(void)umask(0022);
	run_tests();
	if (!chdir("/"))
		(void)rmdir(folder);
	return tap_done();
}
