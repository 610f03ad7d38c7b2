// The client's own: one round trip. trip_begin() locks and writes the head, the caller puts the rest, trip_exchange() sends and receives,
// trip_end_plain() unlocks.
#pragma once

#include "gofer/client.h"
#include "gofer/message.h"

struct trip {
	struct gofer_client *client;
	struct msg_out rq;
	struct msg_in rp;
	uint16_t op;
	uint64_t node;
	int fd; // that came along; -1: none
	bool fd_lost; // it did, but this process has as many descriptors as it may
};

void trip_begin(struct trip *t, struct gofer_client *c, enum gofer_op op, uint64_t node);
int trip_exchange(struct trip *t); // the answer's error; its head was checked
// For an answer without a descriptor, which must have been read in full. Answers err, or -EIO.
int trip_end_plain(struct trip *t, int err);
