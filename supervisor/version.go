package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Version asks for the Supervisor's version, such as "14.13.9": GET
// /v2/version, which needs the key on 14.13.9 and 19.0.5. Errors are of type
// *[Error].
func (c *Client) Version(ctx context.Context) (string, error) {
	a, err := c.get(ctx, opVersion, "/v2/version")
	if err != nil {
		return "", err
	}
	var b struct {
		Status  json.RawMessage `json:"status"`
		Message looseText       `json:"message"`
		Version string          `json:"version"`
	}
	if err := json.Unmarshal(a.body, &b); err != nil {
		return "", c.malformed(opVersion, a.body, fmt.Errorf("the answer is not a version: %w", err))
	}
	if err := outcome(b.Status, b.Message); err != nil {
		return "", c.malformed(opVersion, a.body, err)
	}
	version := strings.TrimPrefix(strings.TrimSpace(b.Version), "v")
	if version == "" {
		return "", c.malformed(opVersion, a.body, errors.New("the answer has no version"))
	}
	return version, nil
}

// Ping asks whether a Supervisor answers: GET /ping. The key is not sent, so
// it says nothing about the key. Errors are of type *[Error].
func (c *Client) Ping(ctx context.Context) error {
	a, err := c.getOpen(ctx, opPing, "/ping")
	if err != nil {
		return err
	}
	if !bytes.Equal(bytes.TrimSpace(a.body), []byte("OK")) {
		return c.fail(opPing, http.StatusOK, KindMalformed, errors.New("the answer is not OK"))
	}
	return nil
}
