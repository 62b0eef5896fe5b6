package api

import (
	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

type codes = []fault.Code

// routes is the table. Agents of any version call the lenient ones: a newer
// agent may say more than this control understands. Everybody else is told
// about a misspelt member.
func (a *api) routes() []route {
	var table []route
	for _, part := range [][]route{
		a.agentRoutes(), a.sessionRoutes(), a.deviceRoutes(), a.visitRoutes(), a.accountRoutes(), a.peopleRoutes(), a.rightRoutes(),
	} {
		table = append(table, part...)
	}
	return table
}

func (a *api) agentRoutes() []route {
	return []route{
		{method: "POST", path: "/activations", name: "activate", scope: public, agents: true, lenient: true, status: 200,
			codes: codes{
				fault.Rejected, fault.ModelRefused, fault.FirmwareOld, fault.NoConnections, fault.LicenceExpired,
				fault.DeviceClaimed, fault.ProofInvalid, fault.TooMany,
			},
			summary: "Take a PBX into an account, by a user's e-mail and password or by an authentication code.", endpoint: on(a.activate)},
		{method: "POST", path: "/passes", name: "renewPass", scope: public, agents: true, lenient: true, status: 200,
			codes:   codes{fault.ProofInvalid, fault.DeviceRemoved},
			summary: "Renew a device's pass.", endpoint: on(a.renewPass)},
		{method: "GET", path: "/openapi.json", name: "getOpenAPI", scope: public, status: 200,
			summary: "This document.", endpoint: on(a.document)},
	}
}

func (a *api) sessionRoutes() []route {
	return []route{
		{method: "POST", path: "/sessions", name: "signIn", scope: public, status: 201, codes: codes{fault.WrongLogin, fault.TooMany},
			summary: "Sign in.", endpoint: on(a.signIn)},
		{method: "DELETE", path: "/sessions/current", name: "signOut", scope: sessionOnly, status: 204,
			summary: "Sign out: end the session of this request.", endpoint: on(a.signOut)},
		{method: "GET", path: "/me", name: "getMe", scope: anyToken, status: 200,
			summary: "Show who asks, the account, and what may be done.", endpoint: on(a.me)},
		{method: "PUT", path: "/me/password", name: "changePassword", scope: sessionOnly, status: 204,
			codes:   codes{fault.WrongLogin, fault.Forbidden, fault.TooMany},
			summary: "Change one's own password. One's other sessions end.", endpoint: on(a.changePassword)},
		{method: "GET", path: "/invitations/{token}", name: "getInvitation", scope: public, status: 200,
			codes:   codes{fault.InvitationInvalid, fault.TooMany},
			summary: "Show whom an invitation is for.", endpoint: on(a.invitation)},
		{method: "POST", path: "/invitations/{token}/acceptance", name: "acceptInvitation", scope: public, status: 201,
			codes:   codes{fault.InvitationInvalid, fault.TooMany},
			summary: "Choose the password, and sign in. An invitation is good once.", endpoint: on(a.acceptInvitation)},
	}
}

func (a *api) deviceRoutes() []route {
	const read, write = fleet.ScopeDevicesRead, fleet.ScopeDevicesWrite
	return []route{
		{method: "GET", path: "/devices", name: "listDevices", scope: read, status: 200, codes: codes{fault.NotFound},
			summary: "List devices: the account's, or those of the accounts below.", endpoint: on(a.devices)},
		{method: "POST", path: "/devices", name: "addDevice", scope: write, creates: true, status: 201,
			codes:   codes{fault.Forbidden, fault.NotFound, fault.LimitReached, fault.NoConnections, fault.LicenceExpired},
			summary: "Add a device, and get the authentication code that binds it to its PBX.", endpoint: on(a.addDevice)},
		{method: "GET", path: "/devices/export", name: "exportDevices", scope: read, status: 200, codes: codes{fault.NotFound},
			summary: "Get a file of devices for a spreadsheet.",
			endpoint: streaming[controlapi.DeviceExport, none](a.exportDevices, "text/csv",
				"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")},
		{method: "POST", path: "/devices/removals", name: "removeDevices", scope: write, status: 200, codes: codes{fault.Forbidden},
			summary: "Remove up to 200 devices, each for itself; the answer says of each what became of it.", endpoint: on(a.removeDevices)},
		{method: "GET", path: "/devices/{id}", name: "getDevice", scope: read, status: 200, codes: codes{fault.NotFound},
			summary: "Show one device.", endpoint: onTagged(a.device)},
		{method: "PATCH", path: "/devices/{id}", name: "editDevice", scope: write, status: 200, codes: codes{fault.NotFound, fault.Forbidden},
			summary: "Change a device's name, group, comment, passwordless option or tunnel settings.", endpoint: onTagged(a.editDevice)},
		{method: "DELETE", path: "/devices/{id}", name: "removeDevice", scope: write, status: 204, codes: codes{fault.NotFound, fault.Forbidden},
			summary: "Remove a device: its tunnel ends, its connection is free.", endpoint: on(a.removeDevice)},
		{method: "POST", path: "/devices/{id}/code", name: "issueCode", scope: write, creates: true, status: 201,
			codes:   codes{fault.NotFound, fault.Forbidden},
			summary: "Make a new authentication code for a device; the old one is void.", endpoint: on(a.issueCode)},
		{method: "DELETE", path: "/devices/{id}/code", name: "revokeCode", scope: write, status: 200, codes: codes{fault.NotFound, fault.Forbidden},
			summary: "Void a device's authentication code.", endpoint: onTagged(a.revokeCode)},
		{method: "GET", path: "/devices/{id}/events", name: "listDeviceEvents", scope: read, status: 200, codes: codes{fault.NotFound},
			summary: "List what happened to a device, newest first.", endpoint: on(a.deviceEvents)},
		{method: "GET", path: "/events", name: "watchDevices", scope: read, status: 200, codes: codes{fault.TooMany},
			summary:  "Watch the account's devices, or those of the accounts below: server-sent events of type device. The stream ends when its reader is too slow; list again then.",
			endpoint: streaming[controlapi.WatchQuery, controlapi.DeviceEvent](a.events, "text/event-stream")},

		{method: "GET", path: "/groups", name: "listGroups", scope: read, status: 200,
			summary: "List the account's groups of devices, by name.", endpoint: on(a.groups)},
		{method: "POST", path: "/groups", name: "addGroup", scope: write, creates: true, status: 201,
			codes:   codes{fault.Forbidden, fault.Taken, fault.LimitReached},
			summary: "Make a group.", endpoint: onTagged(a.addGroup)},
		{method: "GET", path: "/groups/{id}", name: "getGroup", scope: read, status: 200, codes: codes{fault.NotFound},
			summary: "Show one group.", endpoint: onTagged(a.group)},
		{method: "PATCH", path: "/groups/{id}", name: "renameGroup", scope: write, status: 200,
			codes:   codes{fault.NotFound, fault.Forbidden, fault.Taken},
			summary: "Rename a group.", endpoint: onTagged(a.renameGroup)},
		{method: "DELETE", path: "/groups/{id}", name: "removeGroup", scope: write, status: 204, codes: codes{fault.NotFound, fault.Forbidden},
			summary: "Remove a group. Its devices stay, in no group.", endpoint: on(a.removeGroup)},
	}
}

func (a *api) visitRoutes() []route {
	return []route{
		{method: "POST", path: "/visits", name: "startVisit", scope: fleet.ScopeVisitsWrite, creates: true, status: 201,
			codes:   codes{fault.NotFound, fault.Forbidden, fault.NotConnected, fault.LicenceExpired, fault.OverCapacity, fault.RemoteOff},
			summary: "Start a visit to a device's portal.", endpoint: on(a.startVisit)},
		{method: "GET", path: "/visits", name: "listVisits", scope: fleet.ScopeVisitsRead, status: 200, codes: codes{fault.NotFound},
			summary: "List the account's visits, newest first.", endpoint: on(a.visits)},
		{method: "DELETE", path: "/visits", name: "endVisitsOf", scope: fleet.ScopeVisitsWrite, status: 200, codes: codes{fault.NotFound, fault.Forbidden},
			summary: "End all visits of one person, everywhere.", endpoint: on(a.endVisitsOf)},
		{method: "DELETE", path: "/visits/{id}", name: "endVisit", scope: fleet.ScopeVisitsWrite, status: 204, codes: codes{fault.NotFound, fault.Forbidden},
			summary: "End a visit everywhere.", endpoint: on(a.endVisit)},
	}
}

func (a *api) accountRoutes() []route {
	return []route{
		{method: "GET", path: "/overview", name: "getOverview", scope: fleet.ScopeAccountRead, status: 200,
			summary: "Show the account's numbers, now and over the last day.", endpoint: on(a.overview)},
		{method: "GET", path: "/subscription", name: "getSubscription", scope: fleet.ScopeAccountRead, status: 200,
			summary: "Show the account's plan and what of it is in use.", endpoint: on(a.subscription)},
		{method: "PUT", path: "/subscription/licence", name: "installLicence", scope: fleet.ScopeAccountWrite, status: 200,
			codes:   codes{fault.Forbidden, fault.LicenceInvalid},
			summary: "Install a licence file. The same one again changes nothing.", endpoint: on(a.installLicence)},
		{method: "GET", path: "/tunnel-settings", name: "getTunnelSettings", scope: fleet.ScopeAccountRead, status: 200,
			summary: "Show where the tunnels of the account's devices should be.", endpoint: onTagged(a.tunnelSettings)},
		{method: "PATCH", path: "/tunnel-settings", name: "editTunnelSettings", scope: fleet.ScopeAccountWrite, status: 200, codes: codes{fault.Forbidden},
			summary: "Say where the tunnels of the account's devices should be.", endpoint: onTagged(a.editTunnelSettings)},
		{method: "GET", path: "/relays", name: "listRelays", scope: fleet.ScopeAccountRead, status: 200, codes: codes{fault.Forbidden},
			summary: "List the installation's relays, for an owner or admin of its own account.", endpoint: on(a.relays)},
		{method: "GET", path: "/resellers", name: "listResellers", scope: fleet.ScopeAccountRead, status: 200, codes: codes{fault.Forbidden},
			summary: "List the accounts below one's own.", endpoint: on(a.resellers)},
		{method: "POST", path: "/resellers", name: "addReseller", scope: fleet.ScopeAccountWrite, creates: true, status: 201,
			codes:   codes{fault.Forbidden, fault.Taken, fault.NoConnections, fault.LimitReached},
			summary: "Make an account below one's own, give it connections, and invite its owner.", endpoint: on(a.addReseller)},
		{method: "GET", path: "/resellers/{id}", name: "getReseller", scope: fleet.ScopeAccountRead, status: 200, codes: codes{fault.NotFound, fault.Forbidden},
			summary: "Show one reseller.", endpoint: onTagged(a.reseller)},
		{method: "PATCH", path: "/resellers/{id}", name: "editReseller", scope: fleet.ScopeAccountWrite, status: 200,
			codes:   codes{fault.NotFound, fault.Forbidden, fault.Taken, fault.NoConnections},
			summary: "Rename a reseller, give it connections or take them back.", endpoint: onTagged(a.editReseller)},
		{method: "DELETE", path: "/resellers/{id}", name: "removeReseller", scope: fleet.ScopeAccountWrite, status: 204,
			codes:   codes{fault.NotFound, fault.Forbidden, fault.AccountInUse},
			summary: "Remove a reseller with all that is its. Refused while one of its devices is connected.", endpoint: on(a.removeReseller)},
		{method: "GET", path: "/audit", name: "listAudit", scope: fleet.ScopeAuditRead, status: 200, codes: codes{fault.Forbidden},
			summary: "List what was decided, newest first.", endpoint: on(a.audit)},
		{method: "GET", path: "/audit/export", name: "exportAudit", scope: fleet.ScopeAuditRead, status: 200, codes: codes{fault.Forbidden},
			summary:  "Get what was decided as JSON lines, newest first.",
			endpoint: streaming[controlapi.AuditFilter, controlapi.AuditEntry](a.exportAudit, auditLines)},
	}
}

func (a *api) peopleRoutes() []route {
	const read, write = fleet.ScopePeopleRead, fleet.ScopePeopleWrite
	return []route{
		{method: "GET", path: "/users", name: "listUsers", scope: read, status: 200, codes: codes{fault.Forbidden},
			summary: "List the account's people.", endpoint: on(a.users)},
		{method: "POST", path: "/users", name: "inviteUser", scope: write, creates: true, status: 201,
			codes:   codes{fault.Forbidden, fault.Taken, fault.LimitReached},
			summary: "Invite a person. The invitation's token is for that person only, and good for 48 hours.", endpoint: on(a.inviteUser)},
		{method: "GET", path: "/users/{id}", name: "getUser", scope: read, status: 200, codes: codes{fault.NotFound, fault.Forbidden},
			summary: "Show one person.", endpoint: onTagged(a.user)},
		{method: "PATCH", path: "/users/{id}", name: "editUser", scope: write, status: 200,
			codes:   codes{fault.NotFound, fault.Forbidden, fault.LastOwner},
			summary: "Change a person's name or role, or disable the person.", endpoint: onTagged(a.editUser)},
		{method: "DELETE", path: "/users/{id}", name: "removeUser", scope: write, status: 204,
			codes:   codes{fault.NotFound, fault.Forbidden, fault.LastOwner},
			summary: "Remove a person: sessions, API tokens and visits end.", endpoint: on(a.removeUser)},
		{method: "POST", path: "/users/{id}/invitation", name: "reinviteUser", scope: write, creates: true, status: 201,
			codes:   codes{fault.NotFound, fault.Forbidden, fault.LastOwner},
			summary: "Invite a person anew: the old invitation and the password are void.", endpoint: on(a.reinviteUser)},
	}
}

func (a *api) rightRoutes() []route {
	const read, write = fleet.ScopePeopleRead, fleet.ScopePeopleWrite
	return []route{
		{method: "GET", path: "/roles", name: "listRoles", scope: read, status: 200, codes: codes{fault.Forbidden},
			summary: "List what each role may do, by group. An owner may do everything.", endpoint: on(a.roles)},
		{method: "GET", path: "/roles/{role}", name: "getRole", scope: read, status: 200, codes: codes{fault.Forbidden, fault.NotFound},
			summary: "Show what one role may do.", endpoint: onTagged(a.role)},
		{method: "PUT", path: "/roles/{role}", name: "setRole", scope: write, status: 200, codes: codes{fault.Forbidden, fault.NotFound},
			summary: "Set what a role may do.", endpoint: onTagged(a.setRole)},
		{method: "GET", path: "/tokens", name: "listTokens", scope: sessionOnly, status: 200,
			summary: "List API tokens, newest first: one's own; owners and admins see the account's.", endpoint: on(a.tokens)},
		{method: "POST", path: "/tokens", name: "addToken", scope: sessionOnly, creates: true, status: 201, codes: codes{fault.Forbidden, fault.LimitReached},
			summary: "Make an API token. Its secret is shown once.", endpoint: on(a.addToken)},
		{method: "DELETE", path: "/tokens/{id}", name: "revokeToken", scope: sessionOnly, status: 204, codes: codes{fault.NotFound, fault.Forbidden},
			summary: "Revoke an API token.", endpoint: on(a.revokeToken)},
	}
}
