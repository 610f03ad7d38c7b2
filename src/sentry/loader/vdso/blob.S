// The vDSO's image, as the build made it.
	.section .rodata
	.global vdso_blob_start, vdso_blob_end
	.balign 8
vdso_blob_start:
	.incbin VDSO_IMAGE
vdso_blob_end:
	.section .note.GNU-stack, "", @progbits
