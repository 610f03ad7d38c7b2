// Descriptors that `hull boot` is started with; 0 to 2 are /dev/null or the log.
#pragma once

enum {
	BOOT_FD_CONFIG = 3,  // the configuration: JSON, see boot.c
	BOOT_FD_LISTEN = 4,  // the listening control socket, or /dev/null
	BOOT_FD_CONTROL = 5, // the first control connection
	BOOT_FD_LOG = 6,     // the debug log, or /dev/null
	BOOT_FDS = 7,
};
