// A trivial service of Node.js, to be measured with and without handover-lib. It
// says what happens to it, one line each, with the time on CLOCK_MONOTONIC in
// nanoseconds:
//
//	@ up          it listens
//	@ ready       it is about to say so, to handover-lib or by a file
//	@ stopping    it has been told to stop, by the callback or by a signal
//
// It is ready at the first line that it reads, and ends with its input.
// WITH_HANDOVER_LIB has it use handover-lib, READY_FILE is written when it is
// ready.
'use strict';

const fs = require('node:fs');
const http = require('node:http');

const say = (word) => fs.writeSync(1, `@ ${word} ${process.hrtime.bigint()}\n`);
const started = new Date();

let peer;
if (process.env.WITH_HANDOVER_LIB) {
	const { HandoverPeer } = require('handover-lib');
	peer = new HandoverPeer(started);
	peer.startListening(async () => say('stopping'));
}

process.on('SIGTERM', () => {
	say('stopping');
	process.exit(0);
});

http.createServer((request, answer) => answer.end('ok\n')).listen(0, () => say('up'));

process.stdin.once('data', () => {
	say('ready');
	if (process.env.READY_FILE) {
		fs.writeFileSync(process.env.READY_FILE, '');
	}
	if (peer) {
		peer.startBroadcasting();
	}
});
process.stdin.on('end', () => process.exit(0));
