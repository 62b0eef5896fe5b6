// The firmware upload with its progress. Without this the form posts by itself.
"use strict";
(() => {
  const form = document.getElementById("upload"), bar = document.getElementById("upload-progress");
  const result = document.getElementById("upload-result"), button = form.querySelector("button");
  const end = (text, bad) => { result.textContent = text; result.classList.toggle("bad", bad); button.disabled = false; };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const request = new XMLHttpRequest();
    request.upload.onprogress = (e) => { if (e.lengthComputable) bar.value = 100 * e.loaded / e.total; };
    request.onload = () => {
      if (request.status !== 200) { end(request.responseText || "The upload was refused.", true); return; }
      const got = JSON.parse(request.responseText);
      end("Received " + got.bytes.toLocaleString() + " bytes. SHA-256 " + got.sha256, false);
    };
    request.onerror = () => end("The connection broke off. Try again.", true);
    bar.hidden = false;
    bar.value = 0;
    button.disabled = true;
    end("Uploading...", false);
    button.disabled = true;
    request.open("POST", form.action);
    request.send(new FormData(form)); // the token is the form's first field: the PBX checks it before the file
  });
})();
