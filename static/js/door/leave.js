// For the site's own page to sign out.

import { forgetOnSignOut } from "./sign-out.js";

forgetOnSignOut();
