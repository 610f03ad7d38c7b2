// `hull gofer`: the process that launch.c starts to hold a container's host files.
#pragma once

int gofer_process_main(int argc, char **argv); // argv: "gofer", the container's ID, a letter a tree
