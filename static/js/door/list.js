// The list of doors opens offline, so that a restarted phone finds its way back to its door.

import { keepShell } from "./shell.js";
import { forgetOnSignOut } from "./sign-out.js";

forgetOnSignOut();
keepShell(document.querySelector("[data-doors]").dataset).catch(() => {});
