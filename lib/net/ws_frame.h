/*
 * ws_frame - frames of the WebSocket protocol (RFC 6455), as a client reads and writes them. Pure. Thread: any.
 */
#ifndef COX_NET_WS_FRAME_H
#define COX_NET_WS_FRAME_H

#include "base/buf.h"
#include "base/err.h"

enum cox_ws_opcode { COX_WS_MORE = 0, COX_WS_TEXT = 1, COX_WS_BINARY = 2, COX_WS_CLOSE = 8, COX_WS_PING = 9, COX_WS_PONG = 10 };
enum { COX_WS_FRAME_BYTES_MAX = 4 * 1024 * 1024 }; /* a kubelet sends at most 32 KiB at once */

struct cox_ws_frame {
	enum cox_ws_opcode opcode;
	bool is_last;
	struct cox_str payload; /* borrowed from the bytes read */
};
/* One frame of a server at the start of `bytes`. COX_EAGAIN: it is not complete. COX_EPROTO, COX_ELIMIT with text. */
COX_MUST_USE enum cox_rc cox_ws_frame_read(struct cox_str bytes, struct cox_ws_frame *out, size_t *used, struct cox_err *err);
/* Appends a frame of a client, masked with `mask`. */
void cox_ws_frame_write(struct cox_buf *out, enum cox_ws_opcode opcode, struct cox_str payload, uint32_t mask);

#endif
