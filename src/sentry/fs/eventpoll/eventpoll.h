// epoll's instances: which files they watch, and which of these are ready.
//
// Locks, outermost first: the nesting lock (only for closing a watched file, ending an instance and watching one instance by
// another), ep->mu (level 2; an outer instance's before an inner one's, then the watched files' own), a wait queue's lock, ep->ready_mu.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct file;
struct task;
struct waitq;

struct file *eventpoll_create(void); // NULL: no memory
bool file_is_eventpoll(struct file *f);
// epoll_ctl: f is watched under the number fd. 0 or -errno.
int eventpoll_ctl(struct file *ep_file, int op, int fd, struct file *f, const struct epoll_event *event);
// Takes up to max events; how many there were, and whether the last item's file is lent.
int eventpoll_harvest(struct file *ep_file, struct epoll_event *out_events, int max, bool *out_lent);
// Nothing was ready, for a wait without a timeout on descriptor fd of t, the task being handled, or one item that is lent: if that is so still, the
// platform may answer the next ones.
void eventpoll_quiet(struct file *ep_file, struct task *t, int fd);
// What those who wait on q wait for is about to be lent (POLL_LENT). True if they are items alone that will be asked, and nobody waits for them.
bool eventpoll_lets_rest(struct waitq *q);
int eventpoll_watched(struct file *ep_file); // how many it watches just now
struct waitq *eventpoll_waitq(struct file *ep_file); // woken when something becomes ready
// f's last reference is gone and f->epolls is set: nobody watches it any more. Called before its release.
void eventpoll_forget(struct file *f);
