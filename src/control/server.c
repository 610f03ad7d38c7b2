// The sentry's side of the control protocol.
//
// A connection's watch reads on one worker at a time. Replies may come from elsewhere (a process ended), so writing has a lock.
// A connection lives until it is closed and no wait is left that would answer on it.
#include "control/server.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/request.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "lib/mutex.h"
#include "lib/profile.h"
#include "lib/ref.h"
#include "sentry/kernel/kernel.h"

// A container, from `create` to the end of the sandbox.
struct served {
	LIST_ENTRY(served) link;
	struct control_server *server;
	struct container *container;
	char *id;
	// A process that waits for `begin`: the request, with the message that holds its strings.
	struct control_request *prepared;
	bool started;
};

struct control_server {
	struct fd_watch listener;
	int spare_fd; // the listener's own: see turn_away()
	bool foreground;
	struct mutex mu;
	// Guarded by mu.
	LIST_HEAD(, served) served;
	int nrunning;
	int nserving; // requests that are being carried out: each is answered before the sandbox ends
	bool stops;
	_Atomic int init_status;
};

struct conn {
	struct ref ref;
	struct fd_watch watch;
	struct control_server *server;
	struct control_reader reader;
	bool first; // its end is the sandbox's, in the foreground
	struct mutex write_mu;
	bool closed; // Guarded by write_mu.
};

// A `wait` under way.
struct waiter {
	struct conn *conn; // a reference
	int64_t seq;
};

static void conn_put(struct conn *c)
{
	if (!ref_put(&c->ref))
		return;
	control_reader_fini(&c->reader);
	close(c->watch.fd);
	free(c);
}

// Sends reply (taken over). A client that doesn't read its answers loses them, or in the middle of one the connection.
static void send_reply(struct conn *c, int64_t seq, json_t *reply)
{
	int err = 0;

	if (reply)
		json_object_set_new(reply, "seq", json_integer(seq));
	mutex_lock(&c->write_mu);
	if (!c->closed)
		err = control_write(c->watch.fd, reply, NULL, 0);
	if (err == -ETIMEDOUT)
		shutdown(c->watch.fd, SHUT_RDWR);
	mutex_unlock(&c->write_mu);
	json_decref(reply);
	if (err)
		log_info("control: a reply could not be sent: %s", strerror(-err));
}

static void send_error(struct conn *c, int64_t seq, const char *text)
{
	json_t *string = json_string(text) ?: json_string("an error without readable text");

	send_reply(c, seq, json_pack("{so}", "error", string));
}

// What the kernel said, or the errno.
static void send_failure(struct conn *c, int64_t seq, const char *what, int err, char *err_text)
{
	char text[1024];

	if (err_text)
		snprintf(text, sizeof(text), "%s", err_text);
	else
		snprintf(text, sizeof(text), "%s: %s", what, strerror(-err));
	kmem_bytes_free(err_text);
	send_error(c, seq, text);
}

static struct served *find(struct control_server *s, const char *id)
{
	struct served *v;

	mutex_lock(&s->mu);
	LIST_FOREACH(v, &s->served, link)
		if (strcmp(v->id, id) == 0)
			break;
	mutex_unlock(&s->mu);
	return v;
}

// --- the end

// The sandbox ends, but not before those who asked for something have their answers: it may have been what they asked for.
static void stop(struct control_server *s)
{
	bool now;

	mutex_lock(&s->mu);
	s->stops = true;
	now = s->nserving == 0;
	mutex_unlock(&s->mu);
	if (now)
		kernel_stop();
}

static void serving_begin(struct control_server *s)
{
	mutex_lock(&s->mu);
	s->nserving++;
	mutex_unlock(&s->mu);
}

static void serving_end(struct control_server *s)
{
	bool last;

	mutex_lock(&s->mu);
	last = --s->nserving == 0 && s->stops;
	mutex_unlock(&s->mu);
	if (last)
		kernel_stop();
}

// --- containers

static void free_prepared(struct control_request *r)
{
	struct control_message *m = r->message;

	control_request_fini(r);
	control_message_fini(m);
	free(m);
	free(r);
}

static void first_process_ended(void *arg, int status)
{
	struct served *v = arg;

	profile_mark(PROFILE_SENTRY_ENDED);
	atomic_store(&v->server->init_status, status);
}

static void container_ended(struct container *c, void *arg)
{
	struct served *v = arg;
	struct control_server *s = v->server;
	bool last;

	mutex_lock(&s->mu);
	last = --s->nrunning == 0;
	mutex_unlock(&s->mu);
	// In the foreground whoever waits takes the status first, and hangs up then.
	if (last && !s->foreground)
		stop(s);
}

static void do_create(struct conn *c, struct control_request *r)
{
	struct control_server *s = c->server;
	struct served *v;
	char *err_text = NULL;
	int err;

	if (find(s, r->container)) {
		send_error(c, r->seq, "the sandbox has a container of that ID already");
		return;
	}
	v = calloc(1, sizeof(*v));
	if (!v || !(v->id = strdup(r->container))) {
		free(v);
		send_error(c, r->seq, "out of memory");
		return;
	}
	v->server = s;
	r->create.on_exit = container_ended;
	r->create.arg = v;
	profile_mark(PROFILE_SENTRY_CREATE);
	err = container_create(&r->create, &v->container, &err_text);
	profile_mark(PROFILE_SENTRY_CREATED);
	r->create.gofer_fd = -1;
	if (err) {
		free(v->id);
		free(v);
		send_failure(c, r->seq, "cannot make the container", err, err_text);
		return;
	}
	mutex_lock(&s->mu);
	LIST_INSERT_HEAD(&s->served, v, link);
	mutex_unlock(&s->mu);
	send_reply(c, r->seq, json_object());
}

static int start_process(struct served *v, struct process_spec *spec, int *out_pid, char **err_text)
{
	bool first;
	int err;

	mutex_lock(&v->server->mu);
	first = !v->started;
	if (first)
		v->server->nrunning++;
	v->started = true;
	mutex_unlock(&v->server->mu);
	err = container_start_process(v->container, spec, out_pid, err_text);
	spec->nstdio = 0; // taken over, as these
	spec->screen_fd = spec->keyboard_fd = -1;
	if (first && err) {
		mutex_lock(&v->server->mu);
		v->started = false;
		v->server->nrunning--;
		mutex_unlock(&v->server->mu);
	} else if (first) {
		container_wait(v->container, *out_pid, first_process_ended, v);
	}
	return err;
}

static void answer_start(struct conn *c, struct served *v, int64_t seq, struct process_spec *spec)
{
	char *err_text = NULL;
	int pid = 0, err;

	profile_mark(PROFILE_SENTRY_START);
	err = start_process(v, spec, &pid, &err_text);
	profile_mark(PROFILE_SENTRY_STARTED);
	if (err)
		send_failure(c, seq, "cannot start the process", err, err_text);
	else
		send_reply(c, seq, json_pack("{si}", "pid", pid));
}

static void do_begin(struct conn *c, struct served *v, struct control_request *r)
{
	struct control_request *prepared;

	mutex_lock(&c->server->mu);
	prepared = v->prepared;
	v->prepared = NULL;
	mutex_unlock(&c->server->mu);
	if (!prepared) {
		send_error(c, r->seq, "the container has no process that waits to begin");
		return;
	}
	answer_start(c, v, r->seq, &prepared->start);
	free_prepared(prepared);
}

// Keeps the request, and with it the message: both are moved out of the caller's.
static void do_prepare(struct conn *c, struct served *v, struct control_request *r)
{
	struct control_request *kept = calloc(1, sizeof(*kept));
	struct control_message *m = calloc(1, sizeof(*m));
	int64_t seq = r->seq;
	bool can;

	if (!kept || !m) {
		free(kept);
		free(m);
		send_error(c, seq, "out of memory");
		return;
	}
	*m = *r->message;
	*kept = *r;
	kept->message = m;
	r->message->json = NULL;
	r->message->nfds = 0;
	control_request_forget_fds(r);
	r->nowned = 0;
	mutex_lock(&c->server->mu);
	can = !v->prepared && !v->started;
	if (can)
		v->prepared = kept;
	mutex_unlock(&c->server->mu);
	if (can) {
		send_reply(c, seq, json_object());
	} else {
		free_prepared(kept);
		send_error(c, seq, "the container has a first process already");
	}
}

static void process_ended(void *arg, int status)
{
	struct waiter *w = arg;

	send_reply(w->conn, w->seq, json_pack("{si}", "status", status));
	conn_put(w->conn);
	free(w);
}

static void do_wait(struct conn *c, struct served *v, struct control_request *r)
{
	struct waiter *w = calloc(1, sizeof(*w));
	int err;

	if (!w) {
		send_error(c, r->seq, "out of memory");
		return;
	}
	ref_get(&c->ref);
	*w = (struct waiter){c, r->seq};
	err = container_wait(v->container, r->wait.pid, process_ended, w);
	if (err) {
		conn_put(c);
		free(w);
		send_failure(c, r->seq, "cannot wait for the process", err, NULL);
	}
}

static void do_signal(struct conn *c, struct served *v, struct control_request *r)
{
	bool waits;
	int err;

	mutex_lock(&c->server->mu);
	waits = !v->started;
	mutex_unlock(&c->server->mu);
	if (waits && r->signal.signal == SIGKILL) {
		// Nothing has begun, so the sandbox is all there is to kill.
		send_reply(c, r->seq, json_object());
		stop(c->server);
		return;
	}
	if (waits)
		err = 0; // like a process that hasn't set anything up: process 1 ignores what it has no handler for
	else if (r->signal.foreground)
		err = container_signal_foreground(v->container, r->signal.pid, r->signal.signal);
	else
		err = container_signal(v->container, r->signal.pid, r->signal.signal, r->signal.all);
	if (err)
		send_failure(c, r->seq, "cannot signal the process", err, NULL);
	else
		send_reply(c, r->seq, json_object());
}

static void do_processes(struct conn *c, struct served *v, struct control_request *r)
{
	enum { CAP = 4096 };
	struct container_process *found = calloc(CAP, sizeof(*found));
	int n = found ? MIN(container_processes(v->container, found, CAP), CAP) : 0;
	json_t *list = json_array();

	for (int i = 0; i < n; i++) {
		const struct container_process *p = &found[i];
		json_t *command = json_string(p->comm) ?: json_string("?"); // it may not be UTF-8

		json_array_append_new(list, json_pack("{si si sI sI sI so}", "pid", p->pid, "ppid", p->ppid, "uid", (json_int_t)p->uid,
						      "start", (json_int_t)p->start_s, "cpuNs", (json_int_t)p->cpu_ns, "command", command));
	}
	free(found);
	send_reply(c, r->seq, json_pack("{so}", "processes", list));
}

static void do_pause(struct conn *c, struct served *v, struct control_request *r, bool pause)
{
	int err = container_pause(v->container, pause);

	if (err == -EALREADY)
		send_error(c, r->seq, pause ? "it is paused already" : "it is not paused");
	else if (err)
		send_error(c, r->seq, "it is not running");
	else
		send_reply(c, r->seq, json_object());
}

static void dispatch(struct conn *c, struct control_request *r)
{
	struct served *v = NULL;

	if (r->container && r->method != CONTROL_CREATE && !(v = find(c->server, r->container))) {
		send_error(c, r->seq, "the sandbox has no container of that ID");
		return;
	}
	switch (r->method) {
	case CONTROL_CREATE:
		do_create(c, r);
		break;
	case CONTROL_START:
		answer_start(c, v, r->seq, &r->start);
		break;
	case CONTROL_PREPARE:
		do_prepare(c, v, r);
		break;
	case CONTROL_BEGIN:
		do_begin(c, v, r);
		break;
	case CONTROL_WAIT:
		do_wait(c, v, r);
		break;
	case CONTROL_SIGNAL:
		do_signal(c, v, r);
		break;
	case CONTROL_PROCESSES:
		do_processes(c, v, r);
		break;
	case CONTROL_PAUSE:
	case CONTROL_RESUME:
		do_pause(c, v, r, r->method == CONTROL_PAUSE);
		break;
	case CONTROL_SHUTDOWN:
		send_reply(c, r->seq, json_object());
		stop(c->server);
		break;
	}
}

// --- connections

// Until then the sandbox is only its launcher's: nobody else knows how to end it.
static bool has_process(struct control_server *s)
{
	struct served *v;
	bool found = false;

	mutex_lock(&s->mu);
	LIST_FOREACH(v, &s->served, link)
		found |= v->started || v->prepared;
	mutex_unlock(&s->mu);
	return found;
}

static void conn_close(struct conn *c)
{
	kernel_unwatch_fd(&c->watch);
	mutex_lock(&c->write_mu);
	c->closed = true;
	mutex_unlock(&c->write_mu);
	shutdown(c->watch.fd, SHUT_RDWR);
	if (c->first && (c->server->foreground || !has_process(c->server)))
		stop(c->server);
	conn_put(c);
}

static void serve(struct conn *c, struct control_message *m)
{
	struct control_request r;
	const char *error;

	log_debug("control: %s", json_string_value(json_object_get(m->json, "method")) ?: "?");
	serving_begin(c->server);
	if (control_request_parse(m, &r, &error) < 0)
		send_error(c, r.seq, error);
	else
		dispatch(c, &r);
	serving_end(c->server);
	control_request_fini(&r);
	control_message_fini(m);
}

static void conn_ready(struct fd_watch *w, uint32_t events)
{
	struct conn *c = w->arg;
	struct control_message m;
	int ret;

	while ((ret = control_read(&c->reader, &m)) == 1)
		serve(c, &m);
	if (ret == -EAGAIN)
		return;
	if (ret < 0)
		log_warning("control: a connection is given up: %s", strerror(-ret));
	conn_close(c);
}

// Takes fd over.
static int conn_create(struct control_server *s, int fd, bool first)
{
	struct conn *c = calloc(1, sizeof(*c));
	int err;

	if (!c || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
		free(c);
		close(fd);
		return -ENOMEM;
	}
	ref_init(&c->ref);
	c->server = s;
	c->first = first;
	c->reader.fd = fd;
	mutex_init(&c->write_mu);
	c->watch = (struct fd_watch){.fd = fd, .fn = conn_ready, .arg = c};
	err = kernel_watch_fd(&c->watch, EPOLLIN | EPOLLRDHUP);
	if (err)
		conn_put(c);
	return err;
}

// No descriptor is left: rather than wait at a socket that says nothing more of them, who has come is sent away.
static bool turn_away(struct control_server *s, int listen_fd)
{
	int fd;

	if (errno != EMFILE && errno != ENFILE)
		return false;
	if (s->spare_fd >= 0)
		close(s->spare_fd);
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	s->spare_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0);
	log_warning("control: a connection could not be served: no descriptor is left");
	return fd >= 0;
}

static void accept_ready(struct fd_watch *w, uint32_t events)
{
	int fd;

	do {
		while ((fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			if (conn_create(w->arg, fd, false) < 0)
				log_warning("control: a connection could not be served");
	} while (turn_away(w->arg, w->fd));
}

int control_server_create(const struct control_server_config *config, struct control_server **out)
{
	struct control_server *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s)
		return -ENOMEM;
	mutex_init(&s->mu);
	LIST_INIT(&s->served);
	s->foreground = config->foreground;
	s->listener = (struct fd_watch){.fd = config->listen_fd, .fn = accept_ready, .arg = s};
	s->spare_fd = config->listen_fd >= 0 ? fcntl(config->listen_fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (config->listen_fd >= 0)
		err = kernel_watch_fd(&s->listener, EPOLLIN);
	if (!err)
		err = conn_create(s, config->first_fd, true);
	if (err) {
		free(s);
		return err;
	}
	*out = s;
	return 0;
}

int control_server_status(struct control_server *s)
{
	return atomic_load(&s->init_status);
}
