// Carries the handover on. Run before the page has loaded, the step replaces
// this page in the history, so that "back" does not come here again.
document.getElementById("handover").submit();
