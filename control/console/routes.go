package console

import "slices"

// routes are all there are. Whatever is not listed is "not found".
func (c *console) routes() []route {
	return slices.Concat(c.doorRoutes(), c.deviceRoutes(), c.accountRoutes(), c.peopleRoutes())
}

func (c *console) doorRoutes() []route {
	return []route{
		{pattern: "GET /assets/{name}", public: c.asset},
		{pattern: "GET /sign-in", public: c.signInPage},
		{pattern: "POST /sign-in", public: c.signIn},
		{pattern: "/", public: c.nothingHere},
		{pattern: "GET /invitation/{token}", public: c.invitationPage},
		{pattern: "POST /invitation/{token}", public: c.acceptInvitation},
		{pattern: "POST /sign-out", page: "/", signed: c.signOut},
	}
}

func (c *console) deviceRoutes() []route {
	return []route{
		{pattern: "GET /{$}", signed: c.devicesPage},
		{pattern: "GET /devices", signed: c.devicesTyped},
		{pattern: "GET /live", signed: c.live},
		{pattern: "GET /user-devices", signed: c.subDevicesPage},
		{pattern: "GET /devices/add", signed: c.addPage},
		{pattern: "POST /devices/add", page: "/devices/add", signed: c.add},
		{pattern: "GET /devices/export", signed: c.exportDevices},
		{pattern: "POST /devices/selected", page: "/", signed: c.selected},
		{pattern: "POST /devices/remove", page: "/", signed: c.removeMany},
		{pattern: "GET /devices/{device}", signed: c.devicePage},
		{pattern: "GET /devices/{device}/edit", signed: c.editPage},
		{pattern: "POST /devices/{device}/edit", page: "/devices/{device}/edit", signed: c.edit},
		{pattern: "POST /devices/{device}/code", page: "/devices/{device}", signed: c.reissue},
		{pattern: "POST /devices/{device}/code/revoke", page: "/devices/{device}", signed: c.revokeCode},
		{pattern: "GET /devices/{device}/remove", signed: c.removePage},
		{pattern: "POST /devices/{device}/remove", page: "/devices/{device}/remove", signed: c.remove},
		{pattern: "POST /devices/{device}/visit", page: "/devices/{device}", signed: c.startVisit},
		{pattern: "GET /visit/{site}", signed: c.sitePage},
		{pattern: "POST /visit/{site}", page: "/visit/{site}", signed: c.startSiteVisit},
		{pattern: "GET /groups", signed: c.groupsPage},
		{pattern: "POST /groups", page: "/groups", signed: c.addGroup},
		{pattern: "GET /groups/{group}", signed: c.groupPage},
		{pattern: "POST /groups/{group}", page: "/groups/{group}", signed: c.renameGroup},
		{pattern: "GET /groups/{group}/remove", signed: c.removeGroupPage},
		{pattern: "POST /groups/{group}/remove", page: "/groups/{group}/remove", signed: c.removeGroup},
	}
}

func (c *console) accountRoutes() []route {
	return []route{
		{pattern: "GET /overview", signed: c.overviewPage},
		{pattern: "GET /visits", signed: c.visitsPage},
		{pattern: "POST /visits/{visit}/end", page: "/visits", signed: c.endVisit},
		{pattern: "GET /visits/of/{user}/end", signed: c.endAllPage},
		{pattern: "POST /visits/of/{user}/end", page: "/visits/of/{user}/end", signed: c.endAll},
		{pattern: "GET /subscription", signed: c.subscriptionPage},
		{pattern: "POST /subscription", page: "/subscription", signed: c.installLicence},
		{pattern: "GET /tunnels", signed: c.tunnelsPage},
		{pattern: "POST /tunnels", page: "/tunnels", signed: c.editTunnels},
		{pattern: "GET /relays", signed: c.relaysPage},
		{pattern: "GET /audit", signed: c.auditPage},
		{pattern: "GET /audit/export", signed: c.exportAudit},
	}
}

func (c *console) peopleRoutes() []route {
	return []route{
		{pattern: "GET /people", signed: c.peoplePage},
		{pattern: "GET /people/invite", signed: c.invitePage},
		{pattern: "POST /people/invite", page: "/people/invite", signed: c.invite},
		{pattern: "GET /roles", signed: c.rolesPage},
		{pattern: "GET /roles/{role}", signed: c.rolePage},
		{pattern: "POST /roles/{role}", page: "/roles/{role}", signed: c.setRights},
		{pattern: "GET /people/{user}", signed: c.personPage},
		{pattern: "POST /people/{user}", page: "/people/{user}", signed: c.editPerson},
		{pattern: "POST /people/{user}/reinvite", page: "/people/{user}", signed: c.reinvite},
		{pattern: "GET /people/{user}/remove", signed: c.removePersonPage},
		{pattern: "POST /people/{user}/remove", page: "/people/{user}/remove", signed: c.removePerson},
		{pattern: "GET /resellers", signed: c.resellersPage},
		{pattern: "GET /resellers/add", signed: c.addResellerPage},
		{pattern: "POST /resellers/add", page: "/resellers/add", signed: c.addReseller},
		{pattern: "GET /resellers/{account}", signed: c.resellerPage},
		{pattern: "POST /resellers/{account}", page: "/resellers/{account}", signed: c.editReseller},
		{pattern: "POST /resellers/{account}/reinvite", page: "/resellers/{account}", signed: c.reinviteOwner},
		{pattern: "GET /resellers/{account}/remove", signed: c.removeResellerPage},
		{pattern: "POST /resellers/{account}/remove", page: "/resellers/{account}/remove", signed: c.removeReseller},
		{pattern: "GET /me", signed: c.mePage},
		{pattern: "POST /me/password", page: "/me", signed: c.changePassword},
		{pattern: "POST /me/tokens", page: "/me", signed: c.addToken},
		{pattern: "POST /me/tokens/{token}/revoke", page: "/me", signed: c.revokeToken},
	}
}
