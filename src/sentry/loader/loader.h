// execve: a file becomes the program of a task.
#pragma once

struct file;
struct task;

// Replaces t's program by file (borrowed; opened with VFS_O_EXEC). filename: as the program and a script's interpreter see it.
// argv and envp: NULL-terminated kernel copies. Up to the point of no return errors come back as -errno and blocking codes pass through
// (the handler is entered again); beyond it the group is killed (-EGONE). -ENOREPLY: t runs the
// new program.
long loader_exec(struct task *t, struct file *file, const char *filename, char *const *argv, char *const *envp);
