// SPDX-License-Identifier: Apache-2.0
#include "word.h"

#include <string.h>

void datafs_word_put(FILE *f, const void *text, size_t len)
{
	const unsigned char *c = text;

	for (size_t i = 0; i < len; i++)
		if (c[i] <= ' ' || c[i] == '\\' || c[i] == 0x7f)
			fprintf(f, "\\%03o", c[i]);
		else
			putc(c[i], f);
}

void datafs_word_puts(FILE *f, const char *text)
{
	datafs_word_put(f, text, strlen(text));
}

/* -1: they are no three octal digits of a byte, or of one that would end the word */
static int octal(const char *s)
{
	if (s[0] < '0' || s[0] > '3' || s[1] < '0' || s[1] > '7' || s[2] < '0' || s[2] > '7')
		return -1;
	return ((s[0] - '0') * 64 + (s[1] - '0') * 8 + (s[2] - '0')) ?: -1;
}

void datafs_word_take(char *word)
{
	char *to = word;
	int c;

	while (*word) {
		c = *word == '\\' ? octal(word + 1) : -1;
		*to++ = c >= 0 ? (char)c : *word;
		word += c >= 0 ? 4 : 1;
	}
	*to = '\0';
}
