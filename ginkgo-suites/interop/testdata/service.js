// A service of Node.js that uses handover-lib: it listens from its start, and
// announces itself when it is ready. It says what happens to it, one line each:
//
//	@ joined GROUP
//	@ heard HEX              a datagram on handover-lib's own socket
//	@ ready
//	@ stopping | @ stopped   before and after the work of the callback
//
// It is ready at the first line that it reads, and ends with its input.
// STARTED_AT is its start in milliseconds since the Unix epoch, if it is not to
// be now.
'use strict';

const dgram = require('node:dgram');
const timers = require('node:timers/promises');
const { HandoverPeer } = require('handover-lib');

const say = (...words) => process.stdout.write(`@ ${words.join(' ')}\n`);

// To know when it listens, and what it hears, without a look inside.
const { addMembership } = dgram.Socket.prototype;
dgram.Socket.prototype.addMembership = function (group, ...more) {
	addMembership.call(this, group, ...more);
	this.on('message', (datagram) => say('heard', datagram.toString('hex')));
	say('joined', group);
};

const peer = new HandoverPeer(new Date(Number(process.env.STARTED_AT || Date.now())));
peer.startListening(async () => {
	say('stopping');
	await timers.setTimeout(200); // it finishes its work
	say('stopped');
});

process.stdin.once('data', () => {
	peer.startBroadcasting();
	say('ready');
});
process.stdin.on('end', () => process.exit(0));
