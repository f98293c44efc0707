package main

// internalNames are the properties of the client's own objects. They are
// shortened in dist, which saves a twentieth of it. Nothing on the list may be
// a property of the package's surface, of what travels as JSON, or of the
// browser's objects.
var internalNames = []string{
	"ackTimer", "acked", "acknowledge", "acknowledged", "answer", "attach", "awake", "blank", "bye", "calls",
	"channels", "control", "controls", "current", "cursor", "deliver", "dispatch", "drop", "dropped", "end",
	"epoch", "fail", "failSome", "flush", "forget", "forgotten", "freeze", "functions",
	"goAway", "gone", "greet", "greeted", "hand", "heard", "heardAt", "hello", "lastId", "leave", "listen",
	"listeners", "lose", "patience", "patient", "payload", "posting", "probe", "probing",
	"quit", "receive", "refuse", "refused", "renew", "request", "restart", "session",
	"settings", "settle", "shut", "silent", "skip", "socket", "start", "started", "sweep", "taken", "tell",
	"thaw", "timer", "token", "told", "tries", "unacknowledge", "waiting", "watch", "watcher", "welcome",
	"welcomed", "withdraw", "withdrawn", "written",
}
