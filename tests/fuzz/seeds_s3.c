// SPDX-License-Identifier: Apache-2.0
/* Answers of S3, and a file of keys, for fuzz_s3.c. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

static const struct {
	const char *name;
	char kind;	/* as fuzz_s3.c counts them */
	const char *text;
} seeds[] = {
	{ "list", 0, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix>d%2F</Prefix><EncodingType>url</EncodingType><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b</NextContinuationToken><Contents><Key>d/%C3%BC+%2B</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size></Contents><CommonPrefixes><Prefix>d/e/</Prefix></CommonPrefixes></ListBucketResult>" },
	{ "plain-list", 0, "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>0</Size><ETag>x-2</ETag><LastModified>2009-10-12T17:50:30Z</LastModified></Contents></ListBucketResult>" },
	{ "error", 1, "<Error><Code>NoSuchKey</Code><Message>a &lt; b</Message><Region>x</Region><RequestId>4442587FB7D0A2F9</RequestId></Error>" },
	{ "begun", 2, "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>VXBsb2Fk</UploadId></InitiateMultipartUploadResult>" },
	{ "complete", 2, "  <CompleteMultipartUploadResult><ETag>\"3858f62230ac3c915f300c664312c11f-9\"</ETag></CompleteMultipartUploadResult>" },
	{ "copied", 2, "<CopyObjectResult><ETag>\"9b2cf535\"</ETag></CopyObjectResult>" },
	{ "keys", 3, "# mine\n[default]\naws_access_key_id = AKIA\naws_secret_access_key=s/+\naws_session_token=t\nexpiration = 2030-01-01T00:00:00Z\n[profile x]\nregion=y\n" },
};

void seeds_s3(void)
{
	char buf[2048];

	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		buf[0] = seeds[i].kind;
		strcpy(buf + 1, seeds[i].text);
		seed_save("s3", seeds[i].name, buf, 1 + strlen(seeds[i].text));
	}
}
