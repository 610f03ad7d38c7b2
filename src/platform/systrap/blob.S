// The stub, as built by stub/, in the binary's read-only data. The file's name comes from the build.
	.section .rodata
	.balign 4096
	.globl stub_blob, stub_blob_end
stub_blob:
	.incbin STUB_BIN
stub_blob_end:
	.section .note.GNU-stack, "", @progbits
