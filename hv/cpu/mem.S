/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcpy, memmove, memset and memcmp for the hypervisor, with their standard meaning. The string
 * instructions do the work: on CPUs with fast REP strings nothing in general registers is faster,
 * and vector registers belong to the guests. The direction flag is clear on entry and on return.
 */

	.text

/* void *memcpy(void *dst /rdi/, const void *src /rsi/, size_t n /rdx/) */
	.globl memcpy
	.type memcpy, @function
memcpy:
	movq %rdi, %rax
	movq %rdx, %rcx
	shrq $3, %rcx
	rep movsq
	movl %edx, %ecx
	andl $7, %ecx
	rep movsb
	ret
	.size memcpy, . - memcpy

/* void *memmove(void *dst, const void *src, size_t n): backwards when dst lies inside src. */
	.globl memmove
	.type memmove, @function
memmove:
	movq %rdi, %rax
	subq %rsi, %rax
	cmpq %rdx, %rax		/* unsigned: false too when dst is below src */
	jae memcpy
	movq %rdi, %rax
	leaq -1(%rdi,%rdx), %rdi
	leaq -1(%rsi,%rdx), %rsi
	movq %rdx, %rcx
	std
	rep movsb
	cld
	ret
	.size memmove, . - memmove

/* void *memset(void *dst /rdi/, int byte /esi/, size_t n /rdx/) */
	.globl memset
	.type memset, @function
memset:
	movq %rdi, %r8
	movzbl %sil, %eax
	movabsq $0x0101010101010101, %rcx
	imulq %rcx, %rax
	movq %rdx, %rcx
	shrq $3, %rcx
	rep stosq
	movl %edx, %ecx
	andl $7, %ecx
	rep stosb
	movq %r8, %rax
	ret
	.size memset, . - memset

/* int memcmp(const void *a /rdi/, const void *b /rsi/, size_t n /rdx/) */
	.globl memcmp
	.type memcmp, @function
memcmp:
	xorl %eax, %eax
	movq %rdx, %rcx
	cmpq %rcx, %rcx		/* sets ZF, so that no byte at all compares equal */
	repe cmpsb
	je 1f
	movzbl -1(%rdi), %eax
	movzbl -1(%rsi), %edx
	subl %edx, %eax
1:	ret
	.size memcmp, . - memcmp

	.section .note.GNU-stack, "", @progbits
