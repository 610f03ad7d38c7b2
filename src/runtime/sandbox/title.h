// What ps shows of a process that goes on under another role without an exec.
#pragma once

void title_init(int argc, char **argv); // by main, before anything else
// "hull PART NAME" in place of the command's words, which are gone then, cut to their length.
void title_set(const char *part, const char *name);
