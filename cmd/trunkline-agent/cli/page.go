package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/internal/service"
)

func pageCommand() *cobra.Command {
	return branch("page", "The Remote Management page: its address and its password", pageURLCommand(), resetPasswordCommand())
}

func pageURLCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "url", Short: "Print the page's address", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := s.load(c)
			if err != nil {
				return err
			}
			return atDesk(c, cfg, func(ctx context.Context, desk manage.Desk, running bool) error {
				v, err := desk.View(ctx)
				switch {
				case err != nil:
					return err
				case v.Page == "" && (running || cfg.Page.Listen == agent.PageOff):
					return service.Usagef("the page is switched off (page.listen)")
				case v.Page == "":
					fmt.Fprintln(c.ErrOrStderr(), noAgent(cfg))
					v.Page = "http://" + cfg.Page.Listen + "/"
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), v.Page)
				return err
			})
		},
	}
	s.add(c)
	return c
}

func resetPasswordCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "reset-password", Short: "Forget the page's password; whoever opens the page next sets one", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := s.load(c)
			if err != nil {
				return err
			}
			return atDesk(c, cfg, func(ctx context.Context, desk manage.Desk, _ bool) error {
				if err := desk.ResetPage(ctx); err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), "The page's password is forgotten. Open the page and set another one now.")
				return nil
			})
		},
	}
	s.add(c)
	return c
}
