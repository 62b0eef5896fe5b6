package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// answerFleet is the part of Fleet that knows requests again.
type answerFleet interface {
	ClaimRequest(ctx context.Context, p fleet.Principal, key string, request []byte) (*fleet.Claim, []byte, error)
	KeepAnswer(ctx context.Context, c *fleet.Claim, answer []byte) error
	DropClaim(ctx context.Context, c *fleet.Claim) error
}

const (
	maxKey       = 255
	claimTimeout = 5 * time.Second // to end one, whether the client is there or not
)

// idempotencyKey is the key that r carries, "" if none: a string in quotes as
// draft-ietf-httpapi-idempotency-key-header has it, or bare.
func idempotencyKey(h http.Header) (string, error) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := strings.TrimSpace(values[0])
	if inner, quoted := strings.CutPrefix(key, `"`); quoted {
		key, quoted = strings.CutSuffix(inner, `"`)
		if !quoted {
			key = ""
		}
	}
	unfit := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	if len(values) > 1 || key == "" || len(key) > maxKey || strings.ContainsFunc(key, unfit) {
		return "", invalid("Idempotency-Key", fmt.Sprintf(`need one string of 1 to %d visible ASCII characters, without " and \`, maxKey))
	}
	return key, nil
}

// once serves a request with a key, if that was not done before. What was
// refused changed nothing, so its claim is dropped and it may be sent again;
// with an internal error one cannot know, and the claim stands until it is void.
func (a *api) once(x *exchange, r *http.Request, who fleet.Principal, key string, serve func() (answer, error)) (answer, error) {
	request := r.Method + "\x00" + r.URL.RequestURI() + "\x00" + string(x.body)
	claim, kept, err := a.fleet.ClaimRequest(r.Context(), who, key, []byte(request))
	if err != nil {
		return answer{}, err
	}
	if kept != nil {
		var ans answer
		if err := json.Unmarshal(kept, &ans); err != nil {
			return answer{}, fmt.Errorf("decode kept answer: %w", err)
		}
		x.Header().Set("Idempotency-Replayed", "true")
		return ans, nil
	}
	ans, err := serve()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), claimTimeout)
	defer cancel()
	switch {
	case err == nil:
		a.keep(ctx, claim, ans)
	case fault.CodeOf(err) != fault.Internal:
		if err := a.fleet.DropClaim(ctx, claim); err != nil {
			a.log.Warn("claim not dropped; it ends by itself", zap.Error(err))
		}
	}
	return ans, err
}

// keep loses an answer rather than the request that was served.
func (a *api) keep(ctx context.Context, claim *fleet.Claim, ans answer) {
	b, err := json.Marshal(ans)
	if err == nil {
		err = a.fleet.KeepAnswer(ctx, claim, b)
	}
	if err != nil {
		a.log.Warn("answer not kept: the same request may be served again", zap.Error(err))
	}
}
