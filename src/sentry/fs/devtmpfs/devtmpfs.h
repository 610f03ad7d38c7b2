// devtmpfs: a tmpfs that begins with the devices every container has.
#pragma once

void devtmpfs_register_devices(void); // once, at start: null, zero, full, random, urandom
