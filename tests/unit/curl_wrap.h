/* SPDX-License-Identifier: Apache-2.0 */
/* For a test that stands in front of curl_easy_setopt() (the linker's --wrap). */
#ifndef DATAFS_TEST_CURL_WRAP_H
#define DATAFS_TEST_CURL_WRAP_H

#include <curl/curl.h>

CURLcode __real_curl_easy_setopt(void *c, CURLoption o, ...);
CURLcode __wrap_curl_easy_setopt(void *c, CURLoption o, ...);

#endif
