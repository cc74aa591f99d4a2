/*
 * http_client_priv - libcurl as http_client sets it up, for websocket.
 */
#ifndef COX_NET_HTTP_CLIENT_PRIV_H
#define COX_NET_HTTP_CLIENT_PRIV_H

#include "net/http_client.h"

#include <curl/curl.h>

/* TLS of `t` (may be NULL) on `easy`. *connect_to gets a list that must live as long as the handle, or stays. */
void cox_http_easy_tls(CURL *easy, const struct cox_http_tls *t, struct curl_slist **connect_to);
/* Once a process, before the first handle. */
void cox_http_easy_init(void);

#endif
