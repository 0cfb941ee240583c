// node unpack.mjs: unpacks the Chromium of @sparticuz/chromium, and the libraries and fonts it brings, into TMPDIR.
// The package decides by the environment whether a host may lack libraries: AWS_LAMBDA_JS_RUNTIME makes it bring them.
import chromium from '@sparticuz/chromium'

chromium.setGraphicsMode = false
console.log(await chromium.executablePath())
