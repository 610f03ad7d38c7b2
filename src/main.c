// The hull binary: one executable that is the CLI, the sentry and the gofer, told apart by its verb.
#include <stdio.h>

int main(int argc, char **argv)
{
	fprintf(stderr, "hull: not built yet\n");
	return 128;
}
