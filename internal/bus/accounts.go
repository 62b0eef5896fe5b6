package bus

import (
	"fmt"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/crypto/bcrypt"

	"trunkline/internal/id"
)

// Who may do what on an embedded server.
//
// Every relay has a NATS account of its own, and in that account nothing but
// the subjects that it may use, imported from control's. Permissions alone
// would not do: whoever may send a request names the subject of the answer,
// and a JetStream answer carries stored bytes. A relay that could name
// "$KV.keys.pass.x" as the place for an answer would write a key without
// being permitted to publish there. In its own account that subject leads
// nowhere.
//
// An external NATS should be set up the same way.
const (
	ownAccount = "control"
	ownUser    = "trunkline-internal"
)

const (
	kvPrefix   = "$KV."           // + bucket + "." + key: where records are written
	feedPrefix = "trunkline.kv."  // + bucket + "." + key: where stored records are announced, but for handovers
	rpcPrefix  = "trunkline.rpc." // + subject
	asPrefix   = "trunkline.as."  // + relay + "." + subject: calls in a relay's own name
	apiPrefix  = "$JS.API."

	// accountInfo is imported by relays' accounts, though no relay may ask it:
	// an account without it gets the whole JetStream API of its own, whose
	// answers ("not enabled") come before control's.
	accountInfo = apiPrefix + "INFO"
)

func streamOf(bucket string) string { return "KV_" + bucket }

// reads are the requests that reading a bucket takes. Handovers are found by
// their key only: a relay has no business listing them.
func reads(bucket string) (single, streamed []string) {
	s := streamOf(bucket)
	single = []string{apiPrefix + "STREAM.INFO." + s, apiPrefix + "DIRECT.GET." + s + "." + kvPrefix + bucket + ".>"}
	if bucket != Handovers {
		streamed = []string{apiPrefix + "DIRECT.GET." + s}
	}
	return single, streamed
}

// writes are the subjects that a relay may publish to.
func writes(r id.Relay) []string {
	return []string{
		kvPrefix + Routes + "." + string(r) + ".>",
		kvPrefix + Relays + "." + string(r),
		kvPrefix + Handovers + ".*",
		rpcPrefix + ">",
		asPrefix + string(r) + ".>",
	}
}

// admit gives o its accounts and users.
func (e *embedded) admit(o *server.Options, logins []Login) error {
	control := server.NewAccount(ownAccount)
	if err := export(control); err != nil {
		return fmt.Errorf("bus: accounts: %w", err)
	}
	o.Accounts = []*server.Account{control}
	own, err := hashed(e.password)
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	o.Users = []*server.User{{Username: ownUser, Password: own, Account: control}}
	byRelay := map[id.Relay]*server.Account{}
	for i, l := range logins {
		password, err := readSecret(l.PasswordFile)
		if err != nil {
			return fmt.Errorf("bus: logins[%d]: %w", i, err)
		}
		if password, err = hashed(password); err != nil {
			return fmt.Errorf("bus: logins[%d]: %w", i, err)
		}
		acc, known := byRelay[l.Relay]
		if !known {
			acc = server.NewAccount("relay-" + string(l.Relay))
			if err := imports(acc, control, l.Relay); err != nil {
				return fmt.Errorf("bus: accounts: %w", err)
			}
			byRelay[l.Relay] = acc
			o.Accounts = append(o.Accounts, acc)
		}
		o.Users = append(o.Users, &server.User{Username: l.User, Password: password, Account: acc, Permissions: permissions(l.Relay)})
	}
	return nil
}

// hashed keeps a password out of the server's memory and stops its warning. The
// cost is the least: a password is machine-made, and relays reconnect together.
func hashed(password string) (string, error) {
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	return string(h), err
}

func export(control *server.Account) error {
	if err := control.AddStreamExport(feedPrefix+">", nil); err != nil {
		return err
	}
	single := []string{kvPrefix + Routes + ".>", kvPrefix + Relays + ".*", kvPrefix + Handovers + ".*", rpcPrefix + ">", asPrefix + ">", accountInfo}
	var streamed []string
	for _, bucket := range buckets() {
		one, many := reads(bucket)
		single, streamed = append(single, one...), append(streamed, many...)
	}
	for _, subject := range single {
		if err := control.AddServiceExport(subject, nil); err != nil {
			return fmt.Errorf("%s: %w", subject, err)
		}
	}
	for _, subject := range streamed {
		if err := control.AddServiceExportWithResponse(subject, server.Streamed, nil); err != nil {
			return fmt.Errorf("%s: %w", subject, err)
		}
	}
	return nil
}

func imports(acc, control *server.Account, r id.Relay) error {
	if err := acc.AddStreamImport(control, feedPrefix+">", ""); err != nil {
		return err
	}
	for _, subject := range append(publishable(r), accountInfo) {
		if err := acc.AddServiceImport(control, subject, ""); err != nil {
			return fmt.Errorf("%s: %w", subject, err)
		}
	}
	return nil
}

func publishable(r id.Relay) []string {
	subjects := writes(r)
	for _, bucket := range buckets() {
		single, streamed := reads(bucket)
		subjects = slices.Concat(subjects, single, streamed)
	}
	return subjects
}

// permissions repeat what the account holds, so that a relay that is
// configured as another finds the reason in its log.
func permissions(r id.Relay) *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: publishable(r)},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>", feedPrefix + ">"}},
	}
}
