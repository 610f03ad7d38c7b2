// Signals as an operator writes them.
#pragma once

int signal_from_text(const char *text); // "9", "KILL", "SIGKILL", "RTMIN+1"; -1: no such signal
