// How long the processor's instructions are, in 64-bit mode (Intel's manual, volume 2, chapter 2 and appendix A). What isn't one has no length.
#include <stdbool.h>

#include "sentry/loader/code_calls.h"

enum { MODRM = 1, IMM8 = 2, IMM16 = 4, IMM = 8 /* 4, or 2 with 66 */, IMM4 = 16, WIDE = 32 /* 4, 2, or 8 with REX.W */, ADDR = 64, TEST = 128, BAD = 256 };

struct head {
	unsigned at; // of the opcode
	bool small;  // 66
	bool wide;   // REX.W
};

static unsigned form_plain(uint8_t op)
{
	if (op < 0x40)
		return (op & 7) < 4 ? MODRM : (op & 7) == 4 ? IMM8 : (op & 7) == 5 ? IMM : BAD;
	switch (op) {
	case 0x50 ... 0x5f:
	case 0x6c ... 0x6f:
	case 0x90 ... 0x99:
	case 0x9b ... 0x9f:
	case 0xa4 ... 0xa7:
	case 0xaa ... 0xaf:
	case 0xc3:
	case 0xc9:
	case 0xcb:
	case 0xcc:
	case 0xcf:
	case 0xd7:
	case 0xec ... 0xef:
	case 0xf1:
	case 0xf4:
	case 0xf5:
	case 0xf8 ... 0xfd:
		return 0;
	case 0x63:
	case 0x84 ... 0x8f:
	case 0xd0 ... 0xd3:
	case 0xd8 ... 0xdf:
	case 0xfe:
	case 0xff:
		return MODRM;
	case 0x6a:
	case 0x70 ... 0x7f:
	case 0xa8:
	case 0xb0 ... 0xb7:
	case 0xcd:
	case 0xe0 ... 0xe7:
	case 0xeb:
		return IMM8;
	case 0x6b:
	case 0x80:
	case 0x83:
	case 0xc0:
	case 0xc1:
	case 0xc6:
		return MODRM | IMM8;
	case 0x68:
	case 0xa9:
		return IMM;
	case 0x69:
	case 0x81:
	case 0xc7:
		return MODRM | IMM;
	case 0xa0 ... 0xa3:
		return ADDR;
	case 0xb8 ... 0xbf:
		return WIDE;
	case 0xc2:
	case 0xca:
		return IMM16;
	case 0xc8:
		return IMM16 | IMM8;
	case 0xe8:
	case 0xe9:
		return IMM4;
	case 0xf6:
	case 0xf7:
		return MODRM | TEST;
	default:
		return BAD;
	}
}

// Behind 0f.
static unsigned form_0f(uint8_t op)
{
	switch (op) {
	case 0x04:
	case 0x0a:
	case 0x0c:
	case 0x0e:
	case 0x0f:
	case 0x24 ... 0x27:
	case 0x36:
	case 0x38 ... 0x3f:
	case 0xa6:
	case 0xa7:
		return BAD;
	case 0x05 ... 0x09:
	case 0x0b:
	case 0x30 ... 0x35:
	case 0x37:
	case 0x77:
	case 0xa0 ... 0xa2:
	case 0xa8 ... 0xaa:
	case 0xc8 ... 0xcf:
		return 0;
	case 0x70 ... 0x73:
	case 0xa4:
	case 0xac:
	case 0xba:
	case 0xc2:
	case 0xc4 ... 0xc6:
		return MODRM | IMM8;
	case 0x80 ... 0x8f:
		return IMM4;
	default:
		return MODRM;
	}
}

static unsigned form_in_map(unsigned map, uint8_t op)
{
	return map == 1 ? form_0f(op) : map == 2 || map == 5 || map == 6 ? MODRM : map == 3 ? MODRM | IMM8 : BAD;
}

static unsigned modrm_len(const uint8_t *p, size_t n)
{
	const unsigned mod = n ? p[0] >> 6 : 0, rm = n ? p[0] & 7 : 0;
	unsigned len = 1;
	bool far = mod == 2 || (mod == 0 && rm == 5);

	if (mod == 3)
		return 1;
	if (rm == 4) {
		len++;
		far |= mod == 0 && n > 1 && (p[1] & 7) == 5;
	}
	return len + (far ? 4 : mod == 1);
}

static bool is_prefix(uint8_t b)
{
	return b == 0x66 || b == 0xf2 || b == 0xf3 || b == 0x2e || b == 0x36 || b == 0x3e || b == 0x26 || b == 0x64 || b == 0x65 || b == 0xf0 ||
	       b == 0x67;
}

// The form of the instruction whose opcode, or VEX or EVEX prefix, is at h->at, and how many bytes come before what the form is about.
static unsigned form_at(const uint8_t *p, size_t n, struct head *h)
{
	const uint8_t *q = p + h->at;
	const size_t left = n - h->at;

	if (left < 6) // a shorter one at the very end isn't worth the care
		return BAD;
	switch (q[0]) {
	case 0x0f:
		h->at += q[1] == 0x38 || q[1] == 0x3a ? 3 : 2;
		return q[1] == 0x38 ? MODRM : q[1] == 0x3a ? MODRM | IMM8 : form_0f(q[1]);
	case 0xc5:
		h->at += 3;
		return form_0f(q[2]);
	case 0xc4:
		h->at += 4;
		return form_in_map(q[1] & 0x1f, q[3]);
	case 0x62:
		h->at += 5;
		return form_in_map(q[1] & 7, q[4]);
	default:
		h->at++;
		return form_plain(q[0]);
	}
}

unsigned code_insn_len(const uint8_t *code, size_t n)
{
	enum { LEN_MAX = 15 };
	struct head h = {0};
	unsigned form, len;

	while (h.at < n && h.at < LEN_MAX && is_prefix(code[h.at]))
		h.small |= code[h.at++] == 0x66;
	if (h.at < n && code[h.at] >> 4 == 4)
		h.wide = code[h.at++] & 8;
	form = h.at < n ? form_at(code, n, &h) : BAD;
	if (form & BAD)
		return 0;
	len = h.at;
	if (form & TEST && len < n && (code[len] >> 3 & 7) < 2)
		form |= code[len - 1] & 1 ? IMM : IMM8;
	if (form & MODRM)
		len += modrm_len(code + len, n - len);
	len += form & IMM8 ? 1 : 0;
	len += form & IMM16 ? 2 : 0;
	len += form & IMM4 ? 4 : 0;
	len += form & ADDR ? 8 : 0;
	len += form & (IMM | WIDE) ? h.wide && form & WIDE ? 8 : h.small && !h.wide ? 2 : 4 : 0;
	return len <= n && len <= LEN_MAX ? len : 0;
}
