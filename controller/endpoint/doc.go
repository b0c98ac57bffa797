// Package endpoint is where the status API is reached: the status socket and
// status.listen, and the way to them for `handover status` and `handover probe`.
//
// Nobody who can connect can use up what the instance needs. Each listener has
// room for a few connections (see Most). When it is full, the connection whose
// last request is the longest ago gives way to the new one, whatever it does: it
// may wait, send a header that never ends, or follow /events. On the socket, the
// connections of other users give way to those of root and of this user first. A
// connection has little memory, in this process and in the kernel, and nobody can
// hold up a write for longer than WriteWithin.
//
// The socket has its permissions from its first moment on, and only a socket that
// this process made is removed. Where another instance has the configured path,
// an instance has a path of its own, and takes the configured one when it is free.
// Client never believes an answer of another container's instance, or of another
// user.
//
// It does not protect against root, nor against the user that the instance runs
// as. Many connections a second cost processor time, here as in any server.
package endpoint
