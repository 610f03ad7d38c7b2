// The platform in use: a constant after start.
#include "platform/platform.h"

const struct platform_ops *platform;
