package peer

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"hash"
)

// signatureSize is the length of an HMAC-SHA-256.
const signatureSize = sha256.Size

// Keyring signs and verifies datagrams. It signs with the first secret and
// accepts all of them, so that secrets can be rotated. A nil Keyring stands
// for "no secrets". It keeps working memory, so that a flood of datagrams
// makes no garbage: each goroutine needs one of its own.
type Keyring struct {
	macs []hash.Hash
	sum  [signatureSize]byte
}

// NewKeyring returns a Keyring of the secrets, nil if there are none. An empty
// secret is an error: it would look like protection and be none.
func NewKeyring(secrets ...[]byte) (*Keyring, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	k := &Keyring{}
	for _, secret := range secrets {
		if len(secret) == 0 {
			return nil, errors.New("peer: make keyring: a secret is empty")
		}
		k.macs = append(k.macs, hmac.New(sha256.New, secret))
	}
	return k, nil
}

// sign returns the signature of the message, valid until the next call.
func (k *Keyring) sign(message []byte) []byte { return k.compute(k.macs[0], message) }

// verify reports whether the signature is that of the message under any of the
// secrets. It takes the same time whichever of them matches.
func (k *Keyring) verify(message, signature []byte) bool {
	ok := false
	for _, mac := range k.macs {
		if hmac.Equal(k.compute(mac, message), signature) {
			ok = true
		}
	}
	return ok
}

func (k *Keyring) compute(mac hash.Hash, message []byte) []byte {
	mac.Reset()
	mac.Write(message)
	return mac.Sum(k.sum[:0])
}
