"""Two images compared: their differences, PSNR, SSIM, difference images; folders of them."""
