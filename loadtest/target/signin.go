package target

import "context"

// SignInAgain signs a person in and out once more, as staff do all day.
func (t *Target) SignInAgain(ctx context.Context) error {
	session, err := t.anonymous.SignIn(ctx, t.login.Email, t.login.Password)
	if err != nil {
		return err
	}
	return t.anonymous.WithToken(session.Token).SignOut(ctx)
}

// Login is who signs in.
func (t *Target) Login() Login { return t.login }
