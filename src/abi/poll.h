// The masks in which files answer poll: Linux reports the "normal" bands together with the plain bits.
#pragma once

#include <poll.h>

#define POLLIN_ALL (POLLIN | POLLRDNORM)
#define POLLOUT_ALL (POLLOUT | POLLWRNORM | POLLWRBAND)
