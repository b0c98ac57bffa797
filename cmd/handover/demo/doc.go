// Package demo is what `handover demo` is made of: a small HTTP service (two
// releases of it hand over), a front that sends requests to whichever instance
// is ready, a steady load, and the drawing of what happened.
//
// What it shows is measured: every count comes from the front's own log of
// requests, in which each refused connection, reset, status other than 2xx and
// broken body is a failed request. Nothing is tried twice.
//
// [Soak] does the same again and again, for as long as one likes: see command
// ginkgo-suites/soak. It is no part of the program that is released.
//
// It is made for loopback and some hundred requests per second, and [Run] for
// seconds. The front is no proxy for production, and the service does no work
// but sleep.
package demo
