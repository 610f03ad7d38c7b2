// eventfd(2)'s file.
#pragma once

#include <stdint.h>

struct file;

struct file *eventfd_create(uint32_t initial, int efd_flags); // NULL: no memory
