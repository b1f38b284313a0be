// SPDX-License-Identifier: Apache-2.0
/* Listings of web servers for fuzz_http_list.c, answers of WebHDFS for fuzz_webhdfs.c. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

static const char *const listings[] = {
	/* nginx */
	"\0<html>\r\n<head><title>Index of /d/</title></head>\r\n<body>\r\n<h1>Index of /d/</h1><hr><pre>\n"
	"<a href=\"../\">../</a>\r\n<a href=\"a%20b/\">a b/</a>  26-Nov-2026 20:46       -\r\n"
	"<a href=\"%23x%3Fy\">#x?y</a>   26-Nov-2026 20:46       3\r\n</pre><hr></body>\r\n</html>\r\n",
	"\001[\n{ \"name\":\"sub\", \"type\":\"directory\", \"mtime\":\"Thu, 26 Nov 2026 20:46:15 GMT\" },\n"
	"{ \"name\":\"a\", \"type\":\"file\", \"mtime\":\"Thu, 26 Nov 2026 20:46:15 GMT\", \"size\":3 }\n]",
	/* Apache: plain, fancy, as a table */
	"\0<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n"
	"<html>\n <head>\n  <title>Index of /d</title>\n </head>\n <body>\n<h1>Index of /d</h1>\n<ul>\n"
	"<li><a href=\"/\"> Parent Directory</a></li>\n<li><a href=\"./a:b\"> a:b</a></li>\n"
	"<li><a href=\"x&amp;y\"> x&amp;y</a></li>\n</ul>\n</body></html>\n",
	"\002<html><head><title>Index of /d</title></head><body><pre><a href=\"?C=N;O=D\">Name</a><hr>\n"
	"<a href=\"big.bin\">     </a> <a href=\"big.bin\">big.bin</a> 2026-11-26 20:46  1.2M\n</pre>",
	"\002<html><head><meta charset=\"ISO-8859-1\"><title>Index of /d</title></head><body>\n"
	"<table id=\"indexlist\"><tr><td><a href=\"z\">z</a></td><td>1.2K</td></tr></table></body></html>",
	"\0<title>Index of /</title><a href='http://h/'><a href=//h/x><a href=\"a%2fb\"><a href=\"%00\">",
};

#define FILE_OF(name)	"{\"accessTime\":1320171722771,\"blockSize\":33554432,\"fileId\":16387," \
			"\"group\":\"supergroup\",\"length\":24930,\"modificationTime\":1320171722772," \
			"\"owner\":\"webuser\",\"pathSuffix\":\"" name "\",\"permission\":\"644\"," \
			"\"replication\":1,\"type\":\"FILE\"}"
#define DIR_OF(name)	"{\"accessTime\":0,\"blockSize\":0,\"childrenNum\":2,\"fileId\":16386," \
			"\"group\":\"supergroup\",\"length\":0,\"modificationTime\":1320895981256," \
			"\"owner\":\"szetszwo\",\"pathSuffix\":\"" name "\",\"permission\":\"1711\"," \
			"\"replication\":0,\"type\":\"DIRECTORY\"}"
#define STATUSES(s)	"{\"FileStatuses\":{\"FileStatus\":[" s "]}}"

static const char *const answers[] = {
	"{\"FileStatus\":" FILE_OF("") "}",
	"{\"FileStatus\":" DIR_OF("") "}",
	STATUSES(FILE_OF("b") "," DIR_OF("a")),
	STATUSES(FILE_OF("")),
	("{\"DirectoryListing\":{\"partialListing\":" STATUSES(FILE_OF("a") "," FILE_OF("b"))
	 ",\"remainingEntries\":7}}"),
	"{\"boolean\":true}",
	"{\"RemoteException\":{\"exception\":\"FileNotFoundException\",\"message\":\"No such file: /foo\"}}",
	"{\"RemoteException\":{\"exception\":\"FSLimitException$PathComponentTooLongException\"}}",
};

void seeds_http(void)
{
	char name[20];

	for (size_t i = 0; i < sizeof(listings) / sizeof(*listings); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		seed_save("http_list", name, listings[i], 1 + strlen(listings[i] + 1));
	}
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		seed_save("webhdfs", name, answers[i], strlen(answers[i]));
	}
}
