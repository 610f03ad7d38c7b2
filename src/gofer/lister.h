// Writing a directory's entries into a message, for LIST and LIST_BELOW.
#pragma once

#include <dirent.h>

#include "gofer/server.h"

enum { LISTER_DIRS_MAX = GOFER_MSG_MAX / (sizeof(struct gofer_list_entry) + sizeof(struct gofer_attr)) }; // as many as fit into a message

struct lister {
	struct msg_out *out;
	uint32_t flags; // GOFER_LIST_*
	// Directories among the entries, but those that are apart; names begin at these places of the message.
	uint32_t ndirs;
	struct lister_dir {
		uint32_t entry, name_at, len;
	} dirs[LISTER_DIRS_MAX];
	_Alignas(struct dirent64) char buf[16 << 10];
};

// The entries of an open directory, from where it stands on. all: with their attributes, whatever they are, and where links lead. 0 or -errno; without
// listed->at_end, the message is full.
int lister_fill(struct lister *l, int fd, bool all, struct gofer_listed *listed);
