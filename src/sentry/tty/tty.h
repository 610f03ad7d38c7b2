// Terminals: what the rest of the kernel knows of them.
//
// A terminal is a line discipline (N_TTY) between two sides: the program's (the slave: /dev/pts/N, /dev/tty) and whoever types and
// reads the screen: the master of a pty (pty.c), or a host descriptor (tty_host.c).
//
// Locks: tty->mu (ARCHITECTURE.md, level 2) guards the terminal; kernel()->tasks_mu its ties to a session and a process group.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cred;
struct file;
struct session;
struct super_block;
struct task;
struct thread_group;
struct tty;

struct tty *tty_get(struct tty *tty);
bool tty_get_unless_gone(struct tty *tty); // for what tty_of_group_locked() answered
void tty_put(struct tty *tty); // NULL is allowed

void tty_register_devices(void); // once, at start: /dev/tty, /dev/ptmx, /dev/pts/N

// A terminal whose screen is the host descriptor out_fd and whose keyboard is in_fd (-1: the same); both are taken over in any case.
// cooked: the host's terminal does OPOST itself, and what is typed comes only after a byte was written to in_fd, as soon as a program
// wants input.
// It gets a number in devpts. The caller's reference in *out. 0 or -errno.
int tty_host_create(struct super_block *devpts, const struct cred *cred, int out_fd, int in_fd, bool cooked,
		    struct tty **out);
// Calls fn, once, when all that was written so far has left for the host, or the terminal has hung up: perhaps at once.
void tty_host_when_drained(struct tty *tty, void (*fn)(void *arg), void *arg);
void tty_host_resized(struct tty *tty); // the host's window may have another size by now; no effect on a pty

// Opens the terminal's side for programs as what f is to be: sets f->ops and f->priv. With O_NOCTTY clear it may become the controlling
// terminal of t's session. 0, -EIO (locked, hung up), -EBUSY.
int tty_open(struct task *t, struct file *f, struct tty *tty);
// Makes it the terminal of the session that the new process tg leads.
void tty_make_controlling(struct tty *tty, struct thread_group *tg);

// --- sessions. The caller holds tasks_mu.
struct tty *tty_of_group_locked(struct thread_group *tg); // borrowed; NULL: it has none
void tty_session_ended_locked(struct session *s); // its leader exits
// The device number that /proc/PID/stat shows, and the terminal's foreground process group (-1: none).
int tty_number_locked(struct thread_group *tg, int *out_pgid);
// SIGINT and the like to the foreground group of the terminal that tg has; -ENOTTY if there is none.
int tty_signal_foreground_locked(struct tty *tty, int sig);
