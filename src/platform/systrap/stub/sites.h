// Patched call sites, between the files that are about them.
#pragma once

#include "platform/systrap/stub/stub.h"

enum {
	SITE_NO_OPCODE = 0x06,
	SITE_FIRST_FAR = SITES_MAX - SITES_FAR,
	SITE_ARRIVALS_MAX = 64, // in the middle: more, and the site isn't worth it
};

bool site_live(const struct site *s); // its jump is in the code at its place
struct site *site_of_entry(uint32_t entry); // a jump's; 0: none
struct site *sites_first(unsigned part, uint32_t *out_n); // the records in use
